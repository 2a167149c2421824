"""A run for TFLite Micro: what is refused, measured, promised; without it, nothing."""

import json
import types

import keras
import numpy as np
import pytest
import reports

from distill import config, data, doctor
from distill.compress import finishers, untrained
from distill.compress.search import budget
from distill.measure.micro import trial
from distill.report import console, front
from distill.report.card import model_card
from distill.run import child, diagnosis, micro, parent
from distill.run.evaluation import judge
from distill.runtime import errors
from distill.studies.compare import jobs

SHAPE = (4, 4, 1)
NEWER = ("target", "budget", "arena", "micro")


def network(*more):
    images = keras.Input(SHAPE)
    x = keras.layers.Flatten()(images)
    for layer in more:
        x = layer(x)
    x = keras.layers.Dense(3)(keras.layers.Flatten()(x))
    return keras.Model(images, {"logits": x})


def run(*names, limits=None):
    """As much of a run as is asked for its target."""
    parts = tuple(finishers.FINISHERS[name]() for name in names)
    return types.SimpleNamespace(finish=parts, budget=limits, max_accuracy_drop=100)


def lacks(*ops):
    return trial.Trial(ops, f"TFLite Micro has no {', '.join(ops)}" if ops else None)


def test_an_op_that_is_lacking_is_refused_before_training_by_name():
    pytest.importorskip("tflite_micro", reason="the extra `micro` is not installed")
    repeats = network(keras.layers.RepeatVector(2))
    words = "float32: TFLite Micro has no TILE; dynamic_int8: TFLite Micro has no TILE"
    with pytest.raises(errors.ConfigError, match=words):
        micro.check(run("float32", "dynamic_int8"), repeats)


def test_a_file_that_cannot_be_made_does_not_hide_the_others(tmp_path, monkeypatch):
    def refuse(network, variant, io):
        if variant == "int8":
            raise RuntimeError("no such op")
        return variant.encode()

    monkeypatch.setattr(untrained, "convert_untrained", refuse)
    monkeypatch.setattr(parent, "_run_task", lambda task, at: child._TASKS[task](at))
    monkeypatch.setattr(trial, "run", lambda path: path.read_text())
    parts = run("float32", "int8", "narrowed").finish
    found = micro.predict(network(), parts)
    assert found["float32"] == found["narrowed"] == "float32"
    assert "cannot make it" in found["int8"].reason


@pytest.mark.parametrize(
    ("trials", "limits", "refused"),
    [
        ({"float32": (), "pruned": ("DENSIFY",)}, None, ""),
        ({"float32": ("TILE",), "pruned": ("DENSIFY",)}, None, "no TILE; pruned"),
        ({"float32": (), "pruned": ("DENSIFY",)}, {"max_kb": 1.0}, "pruned: TFLite"),
        ({"pruned": ("DENSIFY",), "int8": ()}, {"max_kb": 1.0}, ""),
    ],
)
def test_one_file_has_to_run_and_with_a_budget_the_last(
    trials, limits, refused, monkeypatch
):
    found = {name: lacks(*ops) for name, ops in trials.items()}
    monkeypatch.setattr(micro, "predict", lambda network, parts: found)
    made = run(*trials, limits=limits and budget.Limits(**limits))
    if not refused:
        return micro.check(made, None)
    with pytest.raises(errors.ConfigError, match=refused):
        micro.check(made, None)


def test_the_doctor_says_what_is_lacking(monkeypatch, capsys):
    pytest.importorskip("tflite_micro", reason="the extra `micro` is not installed")
    monkeypatch.setattr(diagnosis, "examine", lambda network, parts: {"files": []})
    flags = ["--config=lit_resnet.yaml", "--json", "--set=finish=[{name: int8}]"]
    for ops, code in (((), 0), (("TILE",), 1)):
        found = {"int8": lacks(*ops)}
        monkeypatch.setattr(micro, "predict", lambda *given, found=found: found)
        assert doctor.main([*flags, "--set=target=micro"]) == code
        said = json.loads(capsys.readouterr().out)["micro"]["int8"]
        assert said["lacking"] == list(ops) and "outputs" not in said
    assert doctor.main(flags) == 0
    assert "micro" not in json.loads(capsys.readouterr().out)


def measured(tmp_path, limits=None):
    """Entries of two files, of which the second does not run, as `gather` has them."""
    made, split = network(), data.Split(np.zeros((3, *SHAPE), np.float32), np.arange(3))
    models = []
    for name in ("float32", "dynamic_int8"):
        entry = reports.model(f"student.{name}", 90.0, 4_000, 0.1)
        path = tmp_path / entry["file"]
        path.write_bytes(untrained.convert_untrained(made, "float32"))
        models.append(entry)
    path.write_bytes(
        untrained.convert_untrained(network(keras.layers.RepeatVector(2)), "float32")
    )
    micro.measure(run(limits=limits), models, tmp_path, split)
    return models


def test_every_file_of_the_student_is_measured(tmp_path):
    pytest.importorskip("tflite_micro", reason="the extra `micro` is not installed")
    runs, other = models = measured(tmp_path)
    assert runs["arena_bytes"] == trial.run(tmp_path / runs["file"]).arena_bytes
    assert runs["micro"]["agreement_with_litert"] == 100
    assert other["micro"]["reason"] == "TFLite Micro has no TILE"
    assert [model["failed"] for model in models] == [[], []]
    other["micro"]["reason"] += " or | else"
    report = {**reports.make(), "models": [reports.model("teacher", 91.0, 9), *models]}
    report["models"].insert(1, reports.model("student", 90.0, 9_000))
    rows = {row["name"]: row for row in front.front(report["models"])["models"]}
    assert rows["student.float32"]["arena_bytes"] == runs["arena_bytes"]
    assert rows["student.dynamic_int8"]["arena_bytes"] is None
    other["bytes"] = 1  # The smaller, if it ran.
    assert front.front(report["models"])["chosen"] == "student.float32"
    for text in (console.table(report), reports.page(report)):
        assert "TFLite Micro has no TILE or | else" in " ".join(text.split())
    for model in report["models"]:
        model |= {"takes": reports.TAKES, "gives": [], "sha256": "0" * 64}
    assert r"TFLite Micro has no TILE or \| else |" in model_card.text(report)


def test_a_broken_budget_is_a_broken_promise(tmp_path):
    pytest.importorskip("tflite_micro", reason="the extra `micro` is not installed")
    limits = budget.Limits(max_arena_kb=0.5, max_drop=100)
    runs, other = measured(tmp_path, limits)
    student = {"accuracy": 90.0, "validation_accuracy": 90.0}
    (line,) = judge.limit_breaches(run(limits=limits), runs, student)
    assert line.startswith(f"{runs['arena_bytes']:,} bytes of arena, more than budget.")
    assert other["failed"] == ["TFLite Micro does not run it: TFLite Micro has no TILE"]


def test_a_comparison_without_files_has_no_target(tmp_path):
    overrides = ["target=micro", "budget.max_kb=9", "budget.max_arena_kb=9"]
    made = jobs._read("lit_resnet.yaml", overrides, False, None)
    assert made.target is made.budget is None and not made.finish
    (tmp_path / "run.yaml").write_text(config.dump(made))
    again = config.load(tmp_path / "run.yaml")
    assert config.plain(again) == config.plain(made)


def test_without_a_target_all_is_as_before(tmp_path):
    plain = config.plain(config.load("lit_resnet.yaml"))
    assert not [key for key in plain if key in NEWER]
    limits = config.plain(budget.Budget(max_kb=9.0))
    assert {"max_kb", "max_packed_kb"} <= set(limits)
    assert not {"max_arena_kb", "max_macs"} & set(limits)
    targeted = config.load("lit_resnet.yaml", ["target=micro", "budget.max_macs=9"])
    assert config.plain(targeted)["target"] == "micro"
    assert config.plain(targeted)["budget"]["max_macs"] == 9
    report = reports.make()
    for model in report["models"]:
        model.setdefault("takes", reports.TAKES), model.setdefault("gives", [])
        model.setdefault("sha256", "0" * 64)
    front.write(tmp_path, report)
    texts = [path.read_text() for path in tmp_path.iterdir()]
    texts += [console.table(report), model_card.text(report), reports.page(report)]
    for text in texts:
        assert "arena" not in text and "Micro" not in text
