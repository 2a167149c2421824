"""TensorFlow is told of its kernels in time, by measurement, and never to spoil one."""

import sys

import keras
import pytest

from distill import benchmark, check, config, kernels, run_folder, trial

NAME = run_folder.KERNELS
NARROW = ("student.options.width=4", "student.options.shortcut=projection")


@pytest.fixture(autouse=True)
def untold(monkeypatch):
    """As in a fresh process: nobody has told TensorFlow anything."""
    monkeypatch.setenv(NAME, "to be restored")
    monkeypatch.delenv(NAME)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")


def asking(onednn, *more):
    return config.load("kd_resnet.yaml", [f"hardware.onednn={onednn}", *more])


def told():
    return run_folder.versions()[NAME]


@pytest.mark.parametrize(("onednn", "value"), [("true", "1"), ("false", "0")])
def test_a_config_decides_and_its_ground_says_so(onednn, value):
    kernels.choose(asking("auto"))
    assert told() == "as TensorFlow chooses"
    for _ in range(2):
        kernels.choose(asking(onednn))
        assert told() == value
    kernels.choose(asking("auto"))
    assert told() == value  # Who does not care takes what there is.


def test_two_who_want_different_kernels_are_not_one_process(monkeypatch):
    monkeypatch.setenv(NAME, "0")
    with pytest.raises(config.ConfigError, match=f"{NAME}=1 .* Received: {NAME}=0"):
        kernels.choose(asking("true"))
    assert told() == "0"


def test_told_too_late_is_bad_input(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", object())
    with pytest.raises(config.ConfigError, match="TensorFlow imported without it"):
        kernels.choose(asking("true"))
    assert told() == "as TensorFlow chooses"


def test_what_onednn_spoils_is_refused_before_training(capfd):
    flags = ["--config=kd_resnet.yaml", "--set=hardware.onednn=true"]
    assert check.main([*flags, *(f"--set={text}" for text in NARROW)]) == 2
    assert "in `student` section2" in capfd.readouterr().err
    kernels.check(asking("auto", *NARROW))
    kernels.check(asking("true", *NARROW, "student.options.width=8"))
    kernels.check(asking("true", *NARROW, "student.options.shortcut=zero_pad"))


def test_it_is_for_tensorflow_alone(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    kernels.check(asking("auto"))
    with pytest.raises(config.ConfigError, match="needs KERAS_BACKEND=tensorflow"):
        kernels.check(asking("true"))


@pytest.mark.parametrize(
    ("facts", "onednn", "says"),
    [
        ("flags : avx2 fma", "auto", True),
        ("flags : avx2 fma", "false", False),
        ("flags : avx2 avx512f", "auto", False),
        ("Features : neon", "auto", False),
    ],
)
def test_who_might_gain_is_told(facts, onednn, says, tmp_path, monkeypatch):
    path, said = tmp_path / "cpuinfo", []
    path.write_text(facts)
    monkeypatch.setattr(kernels, "FACTS", path)
    monkeypatch.setattr(kernels.progress, "say", said.append)
    kernels.hint(asking(onednn))
    monkeypatch.setenv(NAME, "1")
    kernels.hint(asking(onednn))
    assert len(said) == says


def found(rate):
    stage = {"network": "student", "name": "kd", "images_per_second": 10 * rate}
    return {"images_per_second": rate, "stages": [stage]}


def test_both_are_timed_in_turn(monkeypatch):
    rates, calls = iter([10.0, 30.0, 20.0, 30.0, 10.0, 20.0]), []

    def tried(run, steps, environment):
        calls.append((run.hardware.onednn, steps, environment[NAME]))
        return found(next(rates))

    monkeypatch.setattr(trial, "tried", tried)
    result = kernels.side_by_side(asking("false"), rounds=3, steps=4)
    assert calls == [("auto", 4, "0"), ("auto", 4, "1")] * 3
    assert result["ratio"] == 2.0  # Of 3, 1.5 and 2.
    said = kernels.table(result)
    rows = [line.split() for line in said.splitlines()]
    assert rows[2:4] == [["TensorFlow's", "10", "100"], ["oneDNN's", "30", "300"]]
    assert rows[4][-2:] == ["`hardware.onednn:", "true`"]
    result["ratio"] = 0.5
    assert "`hardware.onednn: false`" in kernels.table(result)


def test_what_cannot_be_trained_is_said_in_a_line(monkeypatch, capfd):
    monkeypatch.setattr(trial, "tried", lambda *_, **__: {"ended": "no such data"})
    flags = ["--config=kd_resnet.yaml", "--kernels", "--rounds=1"]
    assert benchmark.main(flags) == 2
    assert "error: cannot be trained: no such data" in capfd.readouterr().err
