"""What is said of a file in TFLite Micro is what its interpreter does."""

import re
import subprocess
import sys

import keras
import numpy as np
import pytest

from distill import data
from distill.compress import untrained
from distill.measure import accuracy, interpreter
from distill.measure.micro import parity, trial
from distill.report.charts import pareto

pytest.importorskip("tflite_micro", reason="the extra `micro` is not installed")
RNG = np.random.default_rng(0)
SHAPE = (6, 6, 2)
# Whether a file runs in so many bytes of arena.
ALONE = """
import sys
from tflite_micro.python.tflite_micro import runtime

file = runtime.Interpreter.from_file(sys.argv[1], arena_size=int(sys.argv[2]))
file.invoke()
file.print_allocations()
"""


def network(*more):
    images = keras.Input(SHAPE)
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(images)
    for layer in more:
        x = layer(x)
    x = keras.layers.Dense(5)(keras.layers.Flatten()(x))
    return keras.Model(images, {"logits": x})


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    keras.utils.set_random_seed(0)
    folder, plain = tmp_path_factory.mktemp("files"), network()
    repeats = network(keras.layers.Reshape((-1,)), keras.layers.RepeatVector(2))
    for name, made in {
        "float32": untrained.convert_untrained(plain, "float32"),
        "int8": untrained.convert_untrained(plain, "int8"),
        "bytes": untrained.convert_untrained(plain, "int8", "uint8"),
        "pruned": untrained.convert_untrained(network(), "pruned"),
        "hybrid": untrained.convert_untrained(
            network(keras.layers.Conv2D(40, 3)), "dynamic_int8"
        ),
        "repeats": untrained.convert_untrained(repeats, "float32"),
    }.items():
        (folder / f"{name}.tflite").write_bytes(made)
    return folder


@pytest.fixture(scope="module")
def split():
    rng = np.random.default_rng(1)
    return data.Split(rng.random((30, *SHAPE), np.float32), rng.integers(0, 5, 30))


@pytest.mark.parametrize("name", ["float32", "int8"])
def test_the_arena_is_the_least_in_which_the_file_runs(files, name):
    path = files / f"{name}.tflite"
    found = trial.run(path)
    assert 0 < found.head_bytes + found.tail_bytes <= found.arena_bytes
    for size, runs in ((found.arena_bytes, True), (found.arena_bytes - 16, False)):
        command = [sys.executable, "-c", ALONE, str(path), str(size)]
        done = subprocess.run(command, capture_output=True, check=False, text=True)
        assert (done.returncode == 0) == runs
        if runs:
            used = found.head_bytes + found.tail_bytes
            assert f"Arena allocation total {used} bytes" in done.stderr


@pytest.mark.parametrize(("name", "op"), [("repeats", "TILE"), ("pruned", "DENSIFY")])
def test_an_op_that_is_lacking_is_named(files, name, op, split):
    path = files / f"{name}.tflite"
    assert interpreter.predict(path, split.floats()).shape == (30, 5)
    found = trial.run(path)
    assert found.lacking == (op,)
    assert found.reason == f"TFLite Micro has no {op}"
    assert found.arena_bytes is found.outputs is None
    model = {"name": "student.x", "failed": [], **parity.record(path, split, 1)}
    assert model["micro"]["lacking"] == [op] and model["arena_bytes"] is None
    assert pareto.smallest([model]) is None


def test_an_op_that_is_refused_is_named_with_the_reason(files):
    found = trial.run(files / "hybrid.tflite")
    assert found.lacking == ()
    words = r"op \d, CONV_2D: Hybrid models are not supported on TFLite Micro"
    assert re.fullmatch(words, found.reason)


def test_what_it_dies_of_is_a_reason(files, tmp_path):
    path = tmp_path / "half.tflite"
    whole = (files / "int8.tflite").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    found = trial.run(path)
    assert found.reason and "\n" not in found.reason
    assert found.arena_bytes is None


def test_a_signal_is_a_reason(files, dying_python):
    dying_python(6)
    found = trial.run(files / "int8.tflite")
    assert "was ended by SIGABRT" in found.reason


@pytest.mark.parametrize("name", ["float32", "int8", "bytes"])
def test_accuracy_and_parity_are_those_of_its_outputs(files, split, name):
    path = files / f"{name}.tflite"
    found = parity.record(path, split, macs=1)["micro"]
    runner = interpreter.Runner(path, (1, *SHAPE), 1)
    outputs = trial.run(path, runner.quantize(split.floats())).outputs
    assert outputs.dtype == {"bytes": np.uint8}.get(name, np.float32)
    answers, expected = runner.dequantize(outputs), accuracy.logits(path, split)
    assert found["accuracy"] == accuracy.accuracy(answers, split)
    assert found["examples"] == 30
    difference = float(np.abs(answers - expected).max())
    assert found["largest_difference"] == difference
    assert found["agreement_with_litert"] >= 90
    if name == "float32":
        assert found["largest_steps"] is None and difference < 1e-4
    else:
        assert found["largest_steps"] <= 3


@pytest.mark.parametrize("name", ["int8", "bytes"])
def test_a_difference_counts_in_steps_of_the_output(files, split, name):
    path = files / f"{name}.tflite"
    expected = interpreter.predict(path, split.floats())
    step = np.diff(np.unique(expected)).min()
    answers = expected.copy()
    answers[0, 0] += 7 * step
    found = parity.compare(path, answers, expected)
    assert found["largest_steps"] == 7
    answers[0, expected[0].argmin()] = expected.max() + step
    share = parity.compare(path, answers, expected)["agreement_with_litert"]
    assert share == pytest.approx(100 * 29 / 30)


def test_a_large_network_runs_on_fewer_examples(files, split, monkeypatch):
    monkeypatch.setattr(parity, "_WORK", 700)
    found = parity.record(files / "int8.tflite", split, macs=100)
    assert found["micro"]["examples"] == 7
    assert found["arena_bytes"] == trial.run(files / "int8.tflite").arena_bytes
