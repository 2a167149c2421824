"""TensorFlow is told of its kernels in time, and by measurement."""

import subprocess
import sys
import types

import keras
import pytest

from distill import benchmark, config
from distill.runtime import errors, versions
from distill.runtime import onednn as runtime_onednn
from distill.studies.speed import onednn, trial

NAME = versions.KERNELS
AVX2, AVX512, VNNI = "avx avx2 fma", "avx2 avx512bw", "avx2 avx_vnni"


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch, tmp_path):
    """As in a fresh process on a processor without AVX-512."""
    monkeypatch.setenv(NAME, "to be restored")
    monkeypatch.delenv(NAME)
    monkeypatch.setattr(runtime_onednn, "sys", types.SimpleNamespace(modules={}))
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["cpu:0"])
    monkeypatch.setattr(runtime_onednn, "FACTS", tmp_path / "cpuinfo")
    write_cpu_flags(AVX2)


def write_cpu_flags(flags):
    runtime_onednn.FACTS.write_text(f"processor: 0\nflags\t\t: fpu {flags}\n")


def load_run(onednn, *more):
    return config.load("kd_resnet.yaml", [f"hardware.onednn={onednn}", *more])


def kernels_in_use():
    return versions.versions()[NAME]


@pytest.mark.parametrize(("onednn", "value"), [("true", "1"), ("false", "0")])
def test_a_config_decides_and_its_ground_says_so(onednn, value):
    runtime_onednn.choose("auto")
    assert kernels_in_use() == "as TensorFlow chooses"
    for _ in range(2):
        runtime_onednn.choose(onednn)
        assert kernels_in_use() == value
    runtime_onednn.choose("auto")
    assert kernels_in_use() == value  # Who does not care takes what there is.


@pytest.mark.parametrize(("onednn", "value"), [("true", "1"), ("false", "0")])
def test_tensorflow_hears_of_it(onednn, value):
    """In a fresh process, with every command and its networks at hand."""
    code = f"""
import argparse, importlib, sys
from distill import cli
for name in cli.COMMANDS:
    importlib.import_module(f"distill.{{name}}")
given = ["hardware.onednn={onednn}"]
run = cli.load_run(argparse.Namespace(config="lit_resnet.yaml", set=given, seed=None))
assert not {{"tensorflow", "keras"}} & set(sys.modules)
import tensorflow
from distill.runtime import onednn
assert onednn._current_kernels() == "{value}"
onednn.choose(run.hardware.onednn)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


@pytest.mark.parametrize("word", ["0", "false", "maybe", ""])
def test_two_who_want_different_kernels_are_not_one_process(word, monkeypatch):
    monkeypatch.setenv(NAME, word)
    with pytest.raises(errors.ConfigError, match=f"unset. Received: {NAME}={word}"):
        runtime_onednn.choose("true")
    assert kernels_in_use() == word
    monkeypatch.setenv(NAME, "True")
    runtime_onednn.choose("true")
    assert kernels_in_use() == "1"


@pytest.mark.parametrize("late", [None, "1"])
def test_told_too_late_is_bad_input(late, monkeypatch):
    """Whatever the variable says by then."""
    runtime_onednn.sys.modules["tensorflow"] = object()
    monkeypatch.setattr(runtime_onednn, "_current_kernels", lambda: "0")
    if late:
        monkeypatch.setenv(NAME, late)
    wrong = "=1, before TensorFlow is imported. Received: .* with TensorFlow's kernels"
    with pytest.raises(errors.ConfigError, match=wrong):
        runtime_onednn.choose("true")
    runtime_onednn.choose("false")
    assert kernels_in_use() == "0"  # What it has.


@pytest.mark.parametrize("onednn", ["true", "false"])
@pytest.mark.parametrize(
    ("backend", "devices", "has"),
    [
        ("jax", ["cpu:0"], "jax"),
        ("torch", None, "torch"),  # Keras cannot list them.
        ("tensorflow", ["gpu:0"], "tensorflow, gpu:0"),
    ],
)
def test_it_is_for_tensorflow_on_a_processor(
    onednn, backend, devices, has, monkeypatch
):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: devices[:])
    runtime_onednn.hint("auto")
    runtime_onednn.check("auto")
    with pytest.raises(errors.ConfigError, match=f"Received: {has}$"):
        runtime_onednn.check(onednn)


@pytest.mark.parametrize(
    ("flags", "onednn", "count"),
    [
        (AVX2, "auto", True),
        (AVX2, "false", False),
        (AVX512, "auto", True),  # Without VNNI TensorFlow takes its own.
        (VNNI, "auto", False),
        ("", "auto", False),
    ],
)
def test_who_might_gain_is_told(flags, onednn, count, monkeypatch):
    lines = []
    write_cpu_flags(flags)
    monkeypatch.setattr(runtime_onednn.progress, "say", lines.append)
    runtime_onednn.hint(onednn)
    assert len(lines) == count
    with monkeypatch.context() as patch:
        patch.setattr(keras.distribution, "list_devices", lambda: ["gpu:0"])
        runtime_onednn.hint(onednn)
    with monkeypatch.context() as patch:
        patch.setattr(keras.backend, "backend", lambda: "jax")
        runtime_onednn.hint(onednn)
    monkeypatch.setenv(NAME, "1")
    runtime_onednn.hint(onednn)
    runtime_onednn.FACTS.unlink()
    monkeypatch.delenv(NAME)
    runtime_onednn.hint(onednn)
    assert len(lines) == count


def trial_result(rate):
    stage = {"network": "student", "name": "kd", "images_per_second": 10 * rate}
    return {"images_per_second": rate, "stages": [stage]}


def test_both_are_timed_in_turn(monkeypatch):
    rates, calls = iter([10.0, 30.0, 20.0, 30.0, 10.0, 20.0]), []

    def run_trial(run, steps, environment):
        calls.append((run.hardware.onednn, steps, environment[NAME]))
        return trial_result(next(rates))

    monkeypatch.setattr(trial, "run", run_trial)
    result = onednn.side_by_side(load_run("false"), rounds=3, steps=4)
    assert calls == [("auto", 4, "0"), ("auto", 4, "1")] * 3
    assert result["ratio"] == 2.0  # Of 3, 1.5 and 2.
    text = onednn.table(result)
    rows = [line.split() for line in text.splitlines()]
    assert rows[2:4] == [["TensorFlow's", "10", "100"], ["oneDNN's", "30", "300"]]
    assert "2.00: set `hardware.onednn: true`" in text
    write_cpu_flags(VNNI)
    assert "2.00: leave `hardware.onednn: auto`" in onednn.table(result)
    result["ratio"] = 0.5
    assert "0.50: set `hardware.onednn: false`" in onednn.table(result)
    result["ratio"] = 1.03
    assert "1.03: no difference" in onednn.table(result)


@pytest.mark.parametrize("code", [2, 3, 6])
def test_what_cannot_be_trained_is_said_in_a_line(code, monkeypatch, capfd):
    ended = {"ended": "no such data", "code": code}
    monkeypatch.setattr(trial, "run", lambda *_, **__: ended)
    flags = ["--config=kd_resnet.yaml", "--kernels", "--rounds=1"]
    assert benchmark.main(flags) == code
    assert "error: cannot be trained: no such data" in capfd.readouterr().err
