"""The trainers run unchanged, and resume, on Keras' other backends."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(
    "file", ["trainers/test_trainers.py", "runtime/test_resume.py"]
)
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_laws_hold_on_another_backend(backend, file):
    """The backend is chosen when Keras is imported, so by a process of its own."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: pip install -e '.[{backend}]'")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--dist=load",  # One file: its tests share the cores.
            "-p",
            "no:cacheprovider",
            str(ROOT / "tests" / file),
        ],
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # Compiling takes most of the time.
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert " passed" in done.stdout
    # One law of trainers is of TensorFlow's graphs. One of resume is not PyTorch's,
    # which draws dropout from a state of its own.
    unfit = int(file == "trainers/test_trainers.py" or backend == "torch")
    skipped = re.search(r"(\d+) skipped", done.stdout)
    assert int(skipped[1] if skipped else 0) == unfit


COUNT = """
import students
from distill.measure import cost

counted = cost.count(students.ResNet(depth=8, width=4).build((8, 8, 1), 10))
print(counted.macs, counted.uncounted)
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_macs_are_the_same_on_every_backend(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: pip install -e '.[{backend}]'")
    done = subprocess.run(
        [sys.executable, "-c", COUNT],
        env={**os.environ, "KERAS_BACKEND": backend},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["49568", "()"], done.stderr[-1000:]
