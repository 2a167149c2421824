"""The script for a GPU stands ready: it runs here at toy size, and in its time."""

import contextlib
import importlib.util
import io
import itertools
import json
import os
import pathlib
import sys
import threading
import time
import types

import pytest

from distill import config
from distill.studies.speed import peers
from distill.studies.speed.peers import accuracy, gpu, learning, roofline, turns
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
    runs = []
    (tmp_path / "sitecustomize.py").write_text(WITHOUT)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")  # Sooner.
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else name
    )
    monkeypatch.setattr(gpu, "_learning", lambda *run: runs.append(run))
    out = tmp_path / "gpu.json"
    more = ["--batches=4", "--precisions=mixed_bfloat16", "--rounds=2", "--steps=2"]
    assert gpu.main(flags(*more, "--peak", "1e-3", "1", f"--json={out}")) == 0
    (cell,) = json.loads(out.read_text())["cells"]
    (kd,) = cell["methods"]
    own = kd["losses"]["own"]
    assert own[0] > own[1] > own[2]  # They do learn.
    output = capsys.readouterr().out
    rate = 4 / (sum(kd["seconds"]["own"]) / 2)
    share = 100 * rate * roofline.flops("kd", cell["costs"], 1) / 1e9
    (row,) = [line.split() for line in output.splitlines() if line.startswith("kd")]
    assert row[1:4] == ["4", "mixed_bfloat16", "own"]
    assert float(row[4]) == pytest.approx(rate, abs=1)
    assert float(row[-2]) == pytest.approx(share, abs=0.1)
    assert "pytorch_compiled: not installed: pip install" in output
    assert "own: Keras" in output
    assert "on jax, cpu:0" in output
    ((run, *_),) = runs
    assert (run.batch_size, run.hardware.precision) == (512, "mixed_bfloat16")


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
    actual = roofline.peaks(card)
    assert actual is None if peak is None else actual[0] == peak


def timed_methods(run, **_):
    """What `peers.side_by_side` says: a second a step of ours, two of theirs."""
    seconds = {"own": [1.0, 1.0], "pytorch": [2.0, 2.0]}
    method = {"name": "kd", "seconds": seconds}
    method |= {"ratio": {"pytorch": 2.0}, "ratio_range": {"pytorch": [1.5, 3.0]}}
    packages = {"own": "Keras 3 on jax, gpu:0", "pytorch": "PyTorch 2, cuda"}
    return {"costs": COSTS, "methods": [method], "packages": packages, "missing": {}}


def test_all_compile_at_once_and_are_timed_one_by_one(monkeypatch, capsys, tmp_path):
    compiled, alone = threading.Barrier(4), threading.Lock()  # Networks, too.
    out = tmp_path / "gpu.json"

    def side_by_side(run, terms, **how):
        compiled.wait(10)
        with terms.turn():
            assert alone.acquire(blocking=False)
            time.sleep(0.01)
            alone.release()
        return timed_methods(run)

    class Learning:
        wait = staticmethod(lambda: compiled.wait(10))

        def go(self):
            cells = json.loads(out.read_text())["cells"]
            assert not any("error" in cell for cell in cells)
            yield {"networks": [], "error": "none here"}

    write, writes = gpu.files.atomic_write, []

    def write_slowly(path, content):
        writes.append(path)
        time.sleep(0.3 / len(writes))  # A later write must not overtake an earlier one.
        write(path, content)

    monkeypatch.setattr(gpu.files, "atomic_write", write_slowly)
    monkeypatch.setattr(peers, "side_by_side", side_by_side)
    learning = contextlib.nullcontext(Learning())
    learning.wait, learning.go = Learning.wait, learning.enter_result.go
    monkeypatch.setattr(gpu, "_learning", lambda *_: learning)
    assert gpu.main(flags("--peak", "1e-6", "5e-7", f"--json={out}")) == 0
    output = capsys.readouterr().out
    assert "no more accuracy: none here" in output
    rows = [line.split() for line in output.splitlines() if line.startswith("kd")]
    # 128 images in one second by us, in two by them; 2 x 1030 operations an image.
    assert rows[0][1:5] == ["128", "mixed_bfloat16", "own", "128"]
    assert rows[1][3:8] == ["pytorch", "64", "2.00", "(1.50", "to"]
    assert float(rows[0][5]) == pytest.approx(128 * 2060 / 1e12, rel=0.01)
    assert [row[-2] for row in rows] == [
        "26.4",
        "13.2",
        "105.5",
        "52.7",
        "421.9",
        "210.9",
    ]


def test_who_is_ready_does_not_wait_for_ever():
    queue = turns.Turns(["quick", "slow"], time.monotonic() + 0.05)
    with queue.take_turn("quick"):
        pass
    queue.mark_ready("slow")
    queue = turns.Turns(["quick", "slow"], time.monotonic() + 60)
    queue.mark_ready("slow")  # It has failed.
    with queue.take_turn("quick"):
        pass


def test_a_cell_that_fails_is_said_and_the_next_goes_on(monkeypatch, capsys, tmp_path):
    def failing(run, terms, **how):
        if run.batch_size == 128:
            raise RuntimeError("own ended")
        with terms.turn():
            return timed_methods(run)

    monkeypatch.setattr(peers, "side_by_side", failing)
    monkeypatch.setattr(gpu, "_learning", lambda *_: None)
    assert gpu.main(flags("--batches", "128", "512", "--precisions=float32")) == 0
    output = capsys.readouterr().out
    assert "batch of 128 in float32: own ended" in output
    assert sum(line.startswith("kd") for line in output.splitlines()) == 2
    assert "unknown" in output
    assert "no more accuracy: digits.npz is not in DISTILL_DATA" in output


@pytest.fixture
def fake_python(tmp_path, monkeypatch):
    """Lets every process that this one starts in Python do what a script does."""

    def do(script):
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return do


def read_learning(folder, seconds):
    """All that is said of what was learned."""
    end = time.monotonic() + seconds
    with learning.Learning(folder, folder, {}, compiled=end, end=end) as process:
        process.wait()
        return list(process.go())


LINE = {
    "network": "teacher",
    "accuracy": 90.0,
    "epochs": 2.5,
    "steps": 80,
    "examples": 5,
    "seconds": 3.0,
    "stages": [{"steps": 80, "images_per_second": 9000.0, "waiting": 0.25}],
}


def script(lines, then):
    """Says lines once the time has come; the process that rehearses says nothing."""
    output = "".join(f"echo '{json.dumps(line)}'; " for line in lines)
    return f'[ "$5" = rehearse ] && exit; echo {{}}; read when; {output}{then}'


def test_what_was_learned_in_time_is_said_when_the_rest_was_not(fake_python, tmp_path):
    fake_python(script([LINE], "exec sleep 60"))
    first, last = read_learning(tmp_path, 2)
    assert first["networks"] == last["networks"] == [LINE]
    assert first["error"] == last["error"] == learning.LATE
    output = roofline._describe_networks(last)
    assert "teacher: test accuracy 90.00 % after 80 steps, 2.5 epochs of 5" in output
    assert "9000 images/s, 25 % of the time waiting for input" in output
    assert learning.LATE in output


def test_who_has_said_all_lacks_nothing(fake_python, tmp_path):
    fake_python(script([LINE] * 4, "exec sleep 60"))
    *_, last = read_learning(tmp_path, 60)
    assert (len(last["networks"]), last["error"]) == (4, None)


@pytest.mark.parametrize(
    ("then", "why"),
    [
        ("echo out of memory >&2; exit 1", "the process ended: out of memory"),
        ("kill -11 $$", "the process was ended by SIGSEGV (a library crashed)"),
    ],
)
def test_a_process_that_ends_is_said(then, why, fake_python, tmp_path):
    fake_python(script([], then))
    assert read_learning(tmp_path, 30) == [{"networks": [], "error": why}]


def test_without_the_data_there_is_no_accuracy(monkeypatch, tmp_path):
    monkeypatch.setenv("DISTILL_DATA", str(tmp_path))
    run = config.load(gpu.CONFIG, gpu.SHORTCUTS)
    assert gpu._learning(run, tmp_path, {}, {}) is None


@pytest.fixture
def toy_run(tmp_path):
    """The file of a run of two stages, that learns within seconds."""
    small = "{name: lenet, options: {}}"
    parts = [
        *TOY[:1],
        "augmentation={}",
        f"teacher.network={small}",
        f"student={small}",
        "stages=[{trainer: {name: kd}, epochs: 3}, {trainer: {name: kd}, epochs: 1}]",
        "batch_size=32",
    ]
    run = config.load(gpu.CONFIG, parts)
    (tmp_path / "run.yaml").write_text(config.dump(run))
    return str(tmp_path / "run.yaml")


def test_students_learn_as_many_steps_as_the_first_by_the_clock(
    toy_run, capsys, monkeypatch
):
    ticks = itertools.count(0, 0.25)  # Whoever looks at the clock moves it.
    clock = types.SimpleNamespace(monotonic=lambda: next(ticks), time=lambda: 0)
    monkeypatch.setattr(accuracy, "time", clock)
    monkeypatch.setattr(accuracy, "RATE", 0.1)
    monkeypatch.setattr(sys, "stdin", io.StringIO("14\n"))
    rates = []
    fit = trainer.Trainer.fit

    def record_rate(self, *arguments, **options):
        rates.append(float(self.optimizer.learning_rate))
        return fit(self, *arguments, **options)

    monkeypatch.setattr(trainer.Trainer, "fit", record_rate)
    accuracy.main(toy_run)
    ready, *lines = map(json.loads, capsys.readouterr().out.splitlines())
    assert ready == {}
    names = ["teacher", "student by kd, then kd", "student by labels"]
    assert [line["network"] for line in lines] == [*names, "student by kd alone"]
    steps = [line["steps"] for line in lines]
    assert steps[1] == steps[2] == steps[3] > 60
    assert all(line["epochs"] == line["steps"] / 40 for line in lines)
    assert min(line["accuracy"] for line in lines) > 30, lines  # Of ten classes.
    for line in lines:
        for stage in line["stages"]:
            assert 0 <= stage["waiting"] < 1
            assert stage["images_per_second"] > 0
    assert rates[0] == 0  # It rises from nothing, then falls.
    most = 0.1 * 32 / accuracy.BATCH
    assert 0.8 * most < max(rates) <= most


def test_a_rehearsal_makes_one_step_of_each_stage(toy_run, capsys, monkeypatch):
    steps = []
    monkeypatch.setattr(
        accuracy,
        "_steps",
        lambda *arguments: steps.append(arguments[3]) or arguments[3],
    )
    accuracy.main(toy_run, "rehearse")
    assert steps == [1, 1, 1, 1]
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--minutes=0", "--minutes must be above 0. Received: 0.0"),
        ("--batches=0", "--batches must be above 0"),
        ("--peak 0 1", "--peak must be above 0"),
        ("--json=/nowhere/gpu.json", "--json: no such folder: /nowhere"),
        ("--set=student.options.shortcut=zero_pad", "`student` must be a resnet with"),
    ],
)
def test_bad_input_is_one_line(flag, message, capfd):
    assert gpu.main(flags(*flag.split())) == 2
    assert message in capfd.readouterr().err
