"""Checks of stages and finishers that use unlabelled examples."""

from collections.abc import Iterator
from typing import Any

from distill.compress.base.finisher import TrainedFinisher
from distill.config import lessons
from distill.config.stage import Stage
from distill.data import beside
from distill.runtime.errors import check

_OPTION = "data.options.unlabelled"


def check_run(run: Any) -> None:
    """Refuses a `labelled_share` without such examples, or that no batch can have.

    Args:
        run: A `config.Run` or a `finishing.Finishing`.

    Raises:
        ValueError: If an option does not fit; the message names it.
    """
    has_labels = "train" in run.data.labelled
    if not has_labels:
        _check_without_labels(run)
    for where, share in shares(run):
        if not has_labels:
            rule = "0 with data whose training examples have no labels"
            check(share == 0, where, rule, share)
            continue
        if share == 1:
            continue
        given = run.data.unlabelled is not None
        check(given, where, f"1 without `{_OPTION}`", share)
        rows = beside.labelled_rows(share, run.batch_size)
        check(
            0 < rows < run.batch_size or not share,
            where,
            f"enough for one labelled and one unlabelled example of {run.batch_size}, "
            "the `batch_size`",
            share,
        )


def _check_without_labels(run):
    """Refuses what needs labels, for data whose training examples have none."""
    rule = "absent: the training examples have no labels already"
    check(run.data.unlabelled is None, _OPTION, rule, run.data.unlabelled)
    if run.stages:
        rule = "absent: the teacher must be given, since no label is there to train it"
        trained = [run.teacher, *run.co_teachers]
        check(not any(part.stages for part in trained), "teacher.stages", rule, "some")
        check(run.generator is None, "generator", "absent without labels", "one")
    rule = "absent where the test examples have no labels: there is no accuracy"
    if "test" not in run.data.labelled:
        check(not run.references, "references", rule, len(run.references))
    rule = "left out without labels, where a search could not compare accuracies"
    trials = getattr(run.budget, "trials", 0)
    check(not trials, "budget.trials", rule, trials)


def check_used(run: Any) -> None:
    """Refuses unlabelled examples that nothing learns from.

    Args:
        run: As for `check_run`.

    Raises:
        ValueError: If there are some.
    """
    check(
        run.data.unlabelled is None or any(share < 1 for _, share in shares(run)),
        _OPTION,
        "left out where no `labelled_share` is below 1: it has no effect there",
        run.data.unlabelled,
    )


def shares(run: Any) -> Iterator[tuple[str, float]]:
    """Path and value of each `labelled_share` of a run, those of teachers excepted."""
    for where, stage in stages(run) if run.stages else ():
        yield f"{where}.labelled_share", stage.labelled_share
    for index, part in enumerate(run.finish):
        if isinstance(part, TrainedFinisher):
            yield f"finish[{index}].options.labelled_share", part.labelled_share


def stages(run: Any) -> Iterator[tuple[str, Stage]]:
    """Path and options of each stage of a `config.Run`, those of teachers excepted."""
    for lesson in lessons.lessons(run):
        for index, stage in enumerate(lesson.stages):
            yield f"{lesson.stages_at}[{index}]", stage
