"""The script for a GPU stands ready: it runs here at toy size, and in its time."""

import importlib.util
import itertools
import json
import os
import pathlib
import sys
import time
import types

import pytest

from distill import config
from distill.studies.speed import peers
from distill.studies.speed.peers import accuracy, gpu, roofline
from trainers import trainer

ROOT = pathlib.Path(__file__).parents[2]
TOY = (
    "data={name: digits}",
    "teacher.network.options={depth: 8, width: 8}",
    "student.options={depth: 8, width: 8}",
    "stages=[{trainer: {name: kd}, epochs: 1}]",
)
COSTS = {"teacher": {"macs": 1000}, "student": {"macs": 10}}


def flags(*more):
    return [*(f"--set={text}" for text in TOY), *more]


# Runs first in every process: as if none of them were installed.
WITHOUT = """
import sys

for name in ("tensorflow", "tf_keras", "ai_edge_litert", "flatbuffers"):
    sys.modules[name] = None
"""


def test_a_step_in_half_precision_is_timed_at_toy_size(tmp_path, capsys, monkeypatch):
    asked = []
    (tmp_path / "sitecustomize.py").write_text(WITHOUT)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")  # Sooner.
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else name
    )
    learned = {"networks": [], "error": "none"}
    monkeypatch.setattr(gpu, "_learned", lambda *run: asked.append(run) or learned)
    out = tmp_path / "gpu.json"
    more = ["--batches=4", "--precisions=mixed_bfloat16", "--rounds=2", "--steps=2"]
    assert gpu.main(flags(*more, "--peak", "1e-3", "1", f"--json={out}")) == 0
    (cell,) = json.loads(out.read_text())["cells"]
    (kd,) = cell["methods"]
    own = kd["losses"]["own"]
    assert own[0] > own[1] > own[2]  # They do learn.
    said = capsys.readouterr().out
    rate = 4 / (sum(kd["seconds"]["own"]) / 2)
    share = 100 * rate * roofline.flops("kd", cell["costs"], 1) / 1e9
    (row,) = [line.split() for line in said.splitlines() if line.startswith("kd")]
    assert row[1:4] == ["4", "mixed_bfloat16", "own"]
    assert float(row[4]) == pytest.approx(rate, abs=1)
    assert float(row[-2]) == pytest.approx(share, abs=0.1)
    assert "pytorch: not installed: pip install" in said
    assert "own: Keras" in said
    assert "on jax, cpu:0" in said
    ((run, *_),) = asked
    assert (run.batch_size, run.hardware.precision) == (4, "mixed_bfloat16")


def test_operations_are_those_of_one_teacher_and_three_students_a_pass():
    assert roofline.flops("kd", COSTS, 7) == 2 * 7 * (1000 + 3 * 10)
    assert roofline.flops("lit", COSTS, 7) == 2 * 7 * (1000 + 6 * 10)


@pytest.mark.parametrize(
    ("card", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H200 NVL", 835),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", None),
        ("NVIDIA A1000", None),
        (None, None),
    ],
)
def test_a_card_without_a_known_peak_has_none(card, peak):
    found = roofline.peaks(card)
    assert found is None if peak is None else found[0] == peak


def timed(run, **_):
    """What `peers.side_by_side` says: a second a step of ours, two of theirs."""
    seconds = {"own": [1.0, 1.0], "pytorch": [2.0, 2.0]}
    method = {"name": "kd", "seconds": seconds, "ratio": {"pytorch": 2.0}}
    packages = {"own": "Keras 3 on jax, gpu:0", "pytorch": "PyTorch 2, cuda"}
    return {"costs": COSTS, "methods": [method], "packages": packages, "missing": {}}


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless it is moved."""
    now = [1000.0]
    monkeypatch.setattr(gpu, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_cells_are_left_out_when_the_time_is_up_and_the_rest_is_for_learning(
    clock, monkeypatch, capsys
):
    seen, left = [], []

    def slow(run, terms, **how):
        assert terms.end == pytest.approx(1000 + 600 - gpu._END)
        seen.append((run.batch_size, run.hardware.precision))
        clock[0] += 170
        return timed(run)

    def learned(run, file, environment, end):
        left.append(end - clock[0])
        return {"networks": [], "error": "none here"}

    monkeypatch.setattr(peers, "side_by_side", slow)
    monkeypatch.setattr(gpu, "_learned", learned)
    assert gpu.main(flags("--minutes=10", "--peak", "1e-6", "5e-7")) == 0
    assert seen == [(128, "mixed_bfloat16"), (128, "float32")]
    assert left == [600 - gpu._END - 340]
    said = capsys.readouterr().out
    assert f"batch of 512 in float32: {gpu.LATE}" in said
    assert "no more accuracy: none here" in said
    rows = [line.split() for line in said.splitlines() if line.startswith("kd")]
    # 128 images in one second by us, in two by them; 2 x 1030 operations an image.
    assert rows[0][3:5] == ["own", "128"]
    assert rows[1][3:6] == ["pytorch", "64", "2.00"]
    assert float(rows[0][5]) == pytest.approx(128 * 2060 / 1e12, rel=0.01)
    assert [row[-2] for row in rows] == ["26.4", "13.2", "52.7", "26.4"]


def test_a_cell_that_fails_is_said_and_the_next_goes_on(monkeypatch, capsys):
    def failing(run, **how):
        if run.batch_size == 128:
            raise RuntimeError("pytorch computes another kd")
        return timed(run)

    monkeypatch.setattr(peers, "side_by_side", failing)
    monkeypatch.setattr(gpu, "_learned", lambda *_: {"networks": [], "error": "none"})
    assert gpu.main(flags("--precisions=float32")) == 0
    said = capsys.readouterr().out
    assert "batch of 128 in float32: pytorch computes another kd" in said
    assert sum(line.startswith("kd") for line in said.splitlines()) == 2
    assert "unknown" in said


@pytest.fixture
def saying(tmp_path, monkeypatch):
    """Lets every process that this one starts in Python do what a script does."""

    def do(script):
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))
        monkeypatch.setattr(gpu, "_END", 0)

    return do


def learned(seconds):
    run = config.load(gpu.CONFIG, [*gpu.SHORTCUTS, *TOY])
    return gpu._learned(run, "run.yaml", {}, time.monotonic() + seconds)


LINE = {"network": "teacher", "accuracy": 90.0, "epochs": 2.5, "examples": 5}


def test_what_was_learned_in_time_is_said_when_the_rest_was_not(saying):
    saying(f"echo '{json.dumps(LINE | {'seconds': 3.0})}'; exec sleep 60")
    found = learned(1)
    assert found["error"] == gpu.LATE
    assert "teacher: test accuracy 90.00 % after 2.5 epochs of 5" in roofline._said(
        found
    )
    assert gpu.LATE in roofline._said(found)


def test_who_has_said_all_lacks_nothing(saying):
    line = json.dumps(LINE | {"seconds": 3.0})
    saying(f"echo '{line}'; echo '{line}'; exec sleep 60")
    assert learned(1)["error"] is None


def test_a_process_that_ends_is_said(saying):
    saying("echo out of memory >&2; exit 1")
    assert learned(30) == {
        "networks": [],
        "error": "the process ended: out of memory",
    }


def test_without_the_data_there_is_no_accuracy(monkeypatch, tmp_path):
    monkeypatch.setenv("DISTILL_DATA", str(tmp_path))
    run = config.load(gpu.CONFIG, gpu.SHORTCUTS)
    found = gpu._learned(run, None, {}, time.monotonic() + 60)
    assert found["error"].startswith("cifar10.npz is not in DISTILL_DATA")


def test_teacher_and_student_learn_by_the_clock(tmp_path, capsys, monkeypatch):
    small = "{name: lenet, options: {}}"
    parts = [
        *TOY,
        "augmentation={}",
        f"teacher.network={small}",
        f"student={small}",
        "batch_size=32",
    ]
    run = config.load(gpu.CONFIG, parts)
    (tmp_path / "run.yaml").write_text(config.dump(run))
    ticks = itertools.count(0, 0.25)  # Whoever looks at the clock moves it.
    clock = types.SimpleNamespace(monotonic=lambda: next(ticks))
    monkeypatch.setattr(accuracy, "time", clock)
    monkeypatch.setattr(accuracy, "RATE", 0.03)
    rates = []
    fit = trainer.Trainer.fit

    def watched(self, *given, **options):
        rates.append(float(self.optimizer.learning_rate))
        return fit(self, *given, **options)

    monkeypatch.setattr(trainer.Trainer, "fit", watched)
    accuracy.main(str(tmp_path / "run.yaml"), "12")
    teacher, student = map(json.loads, capsys.readouterr().out.splitlines())
    assert [teacher["network"], student["network"]] == ["teacher", "student"]
    # Until 4.8 s and 10.2 s; three looks a round, each of twice as many steps.
    assert [teacher["epochs"], student["epochs"]] == [127 / 40, 63 / 40]
    assert teacher["examples"] == 1293
    assert min(teacher["accuracy"], student["accuracy"]) > 50  # Of ten classes.
    # Down along half a cosine, twice.
    assert rates[:7] == sorted(rates[:7], reverse=True)
    assert rates[7:] == sorted(rates[7:], reverse=True)
    assert min(rates[0], rates[7]) > 0.027
    assert max(rates[6], rates[12]) < 0.006


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("--minutes=0", "--minutes must be above 0. Received: 0.0"),
        ("--batches=0", "--batches must be above 0"),
        ("--peak 0 1", "--peak must be above 0"),
        ("--json=/nowhere/gpu.json", "--json: no such folder: /nowhere"),
        ("--set=student.options.shortcut=zero_pad", "`student` must be a resnet with"),
    ],
)
def test_bad_input_is_one_line(flag, says, capfd):
    assert gpu.main(flags(*flag.split())) == 2
    assert says in capfd.readouterr().err
