"""The validation split decides which files pass; the test split chooses nothing."""

import types

import keras
import numpy as np
import pytest

from distill import config, data
from distill.compress.finishers import FINISHERS
from distill.compress.search import budget
from distill.run.evaluation import judge, warn
from distill.run.evaluation.record import model_record

FINISH = (FINISHERS["float32"](),)


def run(limit=1.0, **budgeted):
    """As much of a run as is asked for its limits."""
    limits = budget.Budget(max_kb=60.0, **budgeted) if budgeted else None
    return types.SimpleNamespace(
        finish=FINISH, max_accuracy_drop=limit, budget=limits, controls=()
    )


def models(validation, test, failed=()):
    """A student of 95 % and its file, so many points below on each split."""
    student = {"name": "student", "accuracy": 95.0, "validation_accuracy": 95.0}
    return [
        student,
        {
            "name": "student.float32",
            "accuracy": 95.0 - test,
            "validation_accuracy": 95.0 - validation,
            "failed": list(failed),
            "bytes": 50_000,
            "gzip_bytes": 50_000,
            "packed_bytes": 50_000,
        },
    ]


@pytest.mark.parametrize("settings", [run(), run(limit=100, max_drop=1.0)])
def test_a_file_fails_by_its_accuracy_on_the_validation_split(settings):
    student, file = models(validation=1.5, test=0.25)
    (line,) = judge.limit_breaches(settings, file, student)
    assert "on the validation split is 1.50 points below the student's" in line
    assert line.endswith("= 1.0; on the test split 0.25 points")
    student, file = models(validation=1.0, test=9.0)
    assert judge.limit_breaches(settings, file, student) == []


@pytest.mark.parametrize("settings", [run(), run(limit=100, max_drop=1.0)])
def test_what_the_test_split_says_otherwise_is_a_warning(settings):
    (line,) = warn.test_drops(settings, models(validation=1.0, test=9.0))
    assert line.startswith("student.float32 passes on the validation split")
    assert "9.00 points below the student on the test split: more than 1" in line
    assert warn.test_drops(settings, models(1.5, 9.0, ["failed"])) == []
    assert warn.test_drops(settings, models(1.0, 1.0)) == []


@pytest.mark.parametrize(
    ("examples", "limit", "too_few"),
    [(30, 1.0, True), (499, 1.0, True), (500, 1.0, False), (500, 0.5, True)],
)
def test_a_validation_split_too_small_to_decide_is_a_warning(examples, limit, too_few):
    lines = warn.few_examples(run(limit), examples)
    assert len(lines) == too_few
    if too_few:
        share = f"has {examples} examples, one of which is {100 / examples:.2f} points"
        assert share in lines[0]
    checked_run = run(limit)
    checked_run.finish = ()  # Nothing to choose from.
    assert warn.few_examples(checked_run, examples) == []


@pytest.mark.parametrize("name", ["lit_resnet", "finish_resnet", "gan_tsc_resnet"])
def test_a_shipped_config_has_enough_to_decide_by(name):
    checked_run = config.load(f"{name}.yaml")
    splits = checked_run.data.load()
    assert (
        checked_run.finish
        and warn.few_examples(checked_run, len(splits.validation.labels)) == []
    )
    assert len(splits.train.labels) == 270


def test_every_model_is_measured_on_both_splits(tmp_path):
    images = keras.Input((2, 2, 1))
    logits = keras.layers.Dense(4, kernel_initializer="identity")(
        keras.layers.Flatten()(images)
    )
    keras.Model(images, {"logits": logits}).save(tmp_path / "student.keras")
    inputs = np.random.default_rng(0).random((12, 2, 2, 1), np.float32)
    right = inputs.reshape(12, 4).argmax(-1)
    test = data.Split(inputs, np.where(np.arange(12) < 3, right, (right + 1) % 4))
    validation = data.Split(inputs, right)
    record, _ = model_record(
        tmp_path / "student.keras", test, None, validation=(validation, None)
    )
    assert (record["accuracy"], record["validation_accuracy"]) == (25.0, 100.0)
