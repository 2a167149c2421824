"""Warnings of a report: one line for each reason to doubt a number."""

from collections.abc import Sequence

import numpy as np

from distill import config, data
from distill.measure import accuracy
from distill.report import front
from distill.report.charts import scores

LEAST = 5  # Examples that a limit on accuracy must amount to, to be more than chance.


def controls(run: config.Run, models: Sequence[dict]) -> list[str]:
    """Warnings where a control is better than the student or the teacher."""
    by_name = {model["name"]: scores.of_test(model) for model in models}
    student, teacher = by_name["student"], by_name.get("teacher")
    lines = []
    for control in run.controls:
        reached = by_name[control.name]
        if teacher is not None and teacher < reached:
            lines.append(
                f"The teacher ({teacher:.2f} %) is worse than {control.name} "
                f"({reached:.2f} %): train it longer, or take a larger one"
            )
        if student <= reached:
            lines.append(
                f"The student ({student:.2f} %) is no better than {control.name} "
                f"({reached:.2f} %): here its teaching brought nothing"
            )
    return lines


def no_labels(models: Sequence[dict]) -> list[str]:
    """A warning where nothing is known of the accuracy."""
    if scores.are_known(models):
        return []
    return [
        "The accuracy is unknown: the test examples have no labels. What is compared, "
        "and what decides, is agreement with the teacher, which may be wrong"
    ]


def no_agreement(
    student: np.ndarray, taught: np.ndarray | None, split: data.Split
) -> list[str]:
    """A warning if a student without labels has learned nothing of its teacher.

    Args:
        student: The student's logits on the test split.
        taught: The teacher's; None without a teacher.
        split: The test split. With labels, its accuracy says it.
    """
    if taught is None or split.has_labels:
        return []
    found = accuracy.find_chance(student, taught.argmax(-1))
    if found is None:
        return []
    agreement, chance = (100 * share for share in found)
    return [
        f"The student agrees with the teacher on {agreement:.2f} % of "
        f"{len(student):,} test examples, where chance gives {chance:.2f} %: it has "
        "learned nothing of it. More `epochs` or another `learning_rate` may help"
    ]


def few_examples(run: config.Run, examples: int) -> list[str]:
    """A warning if the validation split is too small to decide between files.

    Args:
        run: The run; without files to decide between, there is no warning.
        examples: Number of examples in the validation split.

    Returns:
        The warning in a list, or an empty list.
    """
    # The limit decides which files fail, `WITHIN` which one is chosen.
    smallest = min(_limit(run), front.WITHIN)
    if not run.finish or smallest * examples >= 100 * LEAST:
        return []
    return [
        f"The validation split has {examples} examples, one of which is "
        f"{100 / examples:.2f} points: too few to tell files apart that may differ "
        f"by {smallest:g}. Which one is chosen, and which fail, is partly chance: "
        "raise `data.options.validation_examples` or `validation_fraction`"
    ]


def test_drops(run: config.Run, models: Sequence[dict]) -> list[str]:
    """Warnings for files that pass, but drop too far on the test split."""
    by_name, limit = {model["name"]: model for model in models}, _limit(run)
    files = [by_name[f"student.{config.name_of(part)}"] for part in run.finish]
    drops = {
        file["name"]: scores.of_test(by_name["student"]) - scores.of_test(file)
        for file in files
        if not file["failed"]
    }
    return [
        f"{name} passes on the validation split, and is {drop:.2f} points below the "
        f"student on the test split: more than {limit:g}"
        for name, drop in drops.items()
        if drop > limit
    ]


def alarms(records: Sequence[dict]) -> list[str]:
    """The alarms that methods raised in training."""
    return [
        f"{record['model']}, {record['name']}: {alarm}"
        for record in records
        for alarm in record.get("warnings", ())
    ]


def certificates(models: Sequence[dict]) -> list[str]:
    """Warnings for files with more errors on the test split than their certificate."""
    return [
        f"{model['name']} errs on {error:.2f} % of the test examples, more than its "
        f"certificate allows ({bound:.2f} %): these are not drawn like the training "
        "examples"
        for model in models
        if "certificate" in model
        and (error := 100 - model["accuracy"])
        > (bound := model["certificate"]["bound"])
    ]


def _limit(run):
    """The largest drop in accuracy from the student to a file, in points."""
    limits = getattr(run, "budget", None)
    return run.max_accuracy_drop if limits is None else limits.max_drop
