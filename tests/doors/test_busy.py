"""A folder in which another process works is answered at once, before Keras."""

import subprocess
import sys

import pytest

from distill.runtime import files

CODE = """
import importlib
import sys

code = importlib.import_module(f"distill.{sys.argv[1]}").main(sys.argv[2:])
print(code, "keras" in sys.modules)
"""
FLAGS = {
    "train": ["--config=lit_resnet.yaml"],
    "compare": ["--configs=lit_resnet.yaml", "--seeds=1"],
    "score": ["--config=gan_tsc_resnet.yaml"],
    "finish": ["--config={config}", "--model=student.keras"],
}


@pytest.mark.parametrize("name", FLAGS)
def test_a_folder_in_use_is_answered_before_keras_is_imported(name, tmp_path):
    config = tmp_path / "finish.yaml"
    config.write_text("data: {name: digits}\nfinish: [{name: float32}]\n")
    (tmp_path / "student.keras").touch()  # Opened later than this test goes.
    flags = [flag.format(config=config) for flag in FLAGS[name]]
    folder = tmp_path / "out"
    with files.lock(folder):
        done = subprocess.run(
            [sys.executable, "-c", CODE, name, *flags, f"--out={folder}"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
    assert done.stdout.split() == ["7", "False"], done.stderr
    assert done.stderr.count("in use by another process") == 1
