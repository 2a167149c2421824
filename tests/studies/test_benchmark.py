"""Benchmarks time side by side, and say what they timed."""

import json

import keras
import pytest

from distill import benchmark
from distill.studies.speed import steps


def test_rounds_are_interleaved_and_warmed_up():
    calls = []
    actions = {name: lambda name=name: calls.append(name) for name in "ab"}
    seconds = steps.time_interleaved(actions, rounds=3, steps=2)
    warm = steps.WARMUP
    assert calls == ["a"] * warm + ["b"] * warm + ["a", "a", "b", "b"] * 3
    assert [len(seconds[name]) for name in "ab"] == [3, 3]


def test_a_step_is_compared_with_its_parts(tmp_path, capsys):
    out = tmp_path / "speed.json"
    small = ["--set=teacher.network.options.depth=8", "--set=batch_size=8"]
    flags = ["--rounds=2", "--steps=1", f"--json={out}"]
    assert benchmark.main(["--config=gan_resnet.yaml", *small, *flags]) == 0
    (method,) = json.loads(out.read_text())["methods"]
    assert method["name"] == "adversarial"
    assert set(method["seconds"]) == {"step", "KD step", "discriminator"}
    whole, *parts = method["seconds"].values()
    ratios = sorted(a / (b + c) for a, b, c in zip(whole, *parts, strict=True))
    assert method["ratio"] == pytest.approx(sum(ratios) / 2)
    assert 0 < method["waiting"] < 1
    output = capsys.readouterr().out
    assert f"{method['ratio']:.2f}" in output
    assert f"{100 * method['waiting']:.1f} %" in output


def test_sections_are_compared_with_two_steps_of_the_student(capsys):
    trainer = (
        "--set=stages=[{trainer: {name: lit_parallel}, task_weight: 0, epochs: 1}]"
    )
    small = ["--set=teacher.network.options.depth=8", "--set=batch_size=8", trainer]
    small += ["--set=controls=[]", "--rounds=1", "--steps=1"]
    assert benchmark.main(["--config=lit_resnet.yaml", *small]) == 0
    assert "two student steps" in capsys.readouterr().out


def test_kept_answers_are_compared_with_the_students_part(tmp_path, capsys):
    out = tmp_path / "speed.json"
    small = ["--set=teacher.network={name: lenet}", "--set=student={name: lenet}"]
    small += ["--set=augmentation.shift=0", "--set=teacher.cache=true"]
    flags = ["--set=batch_size=8", "--rounds=1", "--steps=1", f"--json={out}"]
    assert benchmark.main(["--config=kd_resnet.yaml", *small, *flags]) == 0
    (method,) = json.loads(out.read_text())["methods"]
    times = {name: values[0] for name, values in method["seconds"].items()}
    own, cached = times["student step"], times[steps.KEPT]
    assert method["kept_ratio"] == pytest.approx(cached / own)
    whole = times["teacher forward"] + own
    assert method["ratio"] == pytest.approx(times["step"] / whole)
    assert f"{method['kept_ratio']:.2f}" in capsys.readouterr().out


def test_all_parts_compute_in_the_runs_precision(monkeypatch):
    precisions, halves = {}, set()

    def record_precisions(actions, rounds, steps):
        for name, act in actions.items():
            halves.clear()
            act()
            precisions[name] = set(halves)
        return {name: [1.0] * rounds for name in actions}

    call = keras.layers.Conv2D.call

    def record_call(self, inputs):
        halves.add(self.compute_dtype)
        return call(self, inputs)

    monkeypatch.setattr(steps, "time_interleaved", record_precisions)
    monkeypatch.setattr(keras.layers.Conv2D, "call", record_call)
    small = ["--set=teacher.network={name: lenet}", "--set=student={name: lenet}"]
    small += ["--set=augmentation.shift=0", "--set=batch_size=8", "--steps=1"]
    half = "--set=hardware.precision=mixed_bfloat16"
    assert benchmark.main(["--config=kd_resnet.yaml", *small, half]) == 0
    actions = ("step", "teacher forward", "student step")
    assert precisions == {name: {"bfloat16"} for name in actions}


def test_no_rounds_are_refused(capfd):
    assert benchmark.main(["--config=gan_resnet.yaml", "--rounds=0"]) == 2
    assert "--rounds must be at least 1. Received: 0" in capfd.readouterr().err
