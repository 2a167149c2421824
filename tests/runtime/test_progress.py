"""A terminal gets one line an epoch that fits it; native chatter is kept back."""

import io
import os
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

from distill import config
from distill.config import finishing
from distill.run import legs
from distill.runtime import progress, quiet

HEAD = "student, stage 1 of 2 (lit), epoch 3/20 (23/260)"
NUMBERS = {"kd_loss": 1.0, "loss": 0.123456, "accuracy": 0.5, "val_accuracy": 0.75}


@pytest.mark.parametrize("columns", [40, 80, 99, 200])
def test_a_line_is_never_wider_than_its_terminal(columns):
    text = progress.line(HEAD, "stage 0:07, run 1:04", NUMBERS, columns)
    assert len(text) <= columns
    assert text.startswith(HEAD[:columns])


def test_a_line_of_100_columns_has_stage_epoch_time_and_the_first_number():
    text = progress.line(HEAD, "stage 0:07, run 1:04", NUMBERS, 99)
    assert text == f"{HEAD}, val_accuracy 0.75; left: stage 0:07, run 1:04"
    assert "kd_loss 1" in progress.line(HEAD, "", NUMBERS, 200)


def test_a_clock_reads_as_one():
    read = [progress.clock(seconds) for seconds in (0.4, 7, 723, 3723)]
    assert read == ["0:00", "0:07", "12:03", "1:02:03"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_one_line_an_epoch(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(progress, "_work", progress._Work({}))
    monkeypatch.setattr(progress, "_listened", lambda: True)
    progress.expect({"student.0": 2, "student.1": 6})
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    assert progress.verbose() == 0
    with progress.step("student, stage 1", "2 epochs", "student.0"):
        model.fit(
            np.zeros((4, 2)),
            np.zeros((4, 1)),
            epochs=2,
            verbose=0,
            callbacks=progress.lines(keras.callbacks.Callback),
        )
    lines = terminal.getvalue().split("\n")
    visible = [line.rsplit("\x1b[K", 1)[-1] for line in lines if line]
    clock = r"\d+:\d\d"
    for epoch, line in enumerate(visible, 1):
        start = rf"student, stage 1, epoch {epoch}/2 \({epoch}/8\), loss 0"
        assert re.fullmatch(f"{start}; left: stage {clock}, run {clock}", line)
    assert len(visible) == 2


def test_a_file_gets_no_line_of_ours():
    assert progress.lines(keras.callbacks.Callback) == []


def test_the_legs_of_a_run_are_all_that_it_trains():
    run = config.load("lit_resnet.yaml")
    assert legs.legs(run) == {
        "teacher.0": 200,
        "student.0": 20,
        "student.1": 20,
        "control.0": 40,
        "float32": 0,
        "float16": 0,
        "dynamic_int8": 0,
        "int8": 20,
        "pruned": 120,
        "pruned_int8": 40,
    }


def test_the_legs_of_a_finish_are_its_files(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(f"model: {path}\ndata: {{name: digits}}\nfinish: [{{name: int8}}]")
    assert legs.legs(config.read(finishing.Finishing, path)) == {"int8": 10}


def test_chatter_is_kept_back_and_all_else_passes(capfd):
    with quiet.native():
        os.write(2, b"I0000 port.cc:153] oneDNN custom operations are on. You may\n")
        os.write(2, b"E0000 something is broken\n")
    os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n")
    text = capfd.readouterr().err.splitlines()
    assert text == [
        "E0000 something is broken",
        "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
    ]


def test_the_import_of_tensorflow_is_quiet_whoever_asks_first(tmp_path):
    fake = tmp_path / "tensorflow"
    fake.mkdir()
    (fake / "__init__.py").write_text(
        "import os\n"
        "os.write(2, b'Could not find cuda drivers on your machine, x\\nelse\\n')\n"
    )
    code = (
        "import importlib.util\nfrom distill.runtime import quiet\n"
        "quiet.watch_import()\n"
        "assert importlib.util.find_spec('tensorflow')\nimport tensorflow"
    )
    root = str(pathlib.Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{tmp_path}:{root}", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "else\n"
