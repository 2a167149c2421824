"""The trainers run unchanged on Keras' other backends."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

LAWS = pathlib.Path(__file__).with_name("test_trainers.py")


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_laws_hold_on_another_backend(backend):
    """The backend is chosen when Keras is imported, so by a process of its own."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: pip install -e '.[{backend}]'")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(LAWS)],
        env={**os.environ, "KERAS_BACKEND": backend},
        cwd=LAWS.parents[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
