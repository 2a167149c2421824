"""The options of teachers that only answer: no network of Keras, asked once."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import typing

from distill.config import lessons
from distill.config.answering.inputs import Input
from distill.config.cache import Cache
from distill.runtime.errors import ConfigError, check

# For annotations only: `config.run` imports this module.
if typing.TYPE_CHECKING:
    from distill.config.roles import Teacher
    from distill.config.run import Run

__all__ = [
    "Input",
    "cache_of",
    "check_preset",
    "check_run",
    "form_of",
    "needs_logits",
    "require_network",
    "without_cache",
]

# The forms of such a teacher: options of `roles.Teacher`, of which one is given.
FORMS = ("answers", "onnx", "tflite", "saved_model", "python", "hub")
# Those that have no preprocessing of their own.
BARE = ("onnx", "tflite", "saved_model", "python")
# A preset that keras-hub knows by name, or one of Kaggle.
_PRESET = re.compile(r"[\w.-]+|kaggle://[\w.-]+/[\w.-]+/keras/[\w.-]+(/\d+)?")


def check_preset(preset: str) -> None:
    """Refuses what is neither a folder nor can be the name of a preset.

    Raises:
        ValueError: Says what is expected.
    """
    check(
        pathlib.Path(preset).expanduser().is_dir() or bool(_PRESET.fullmatch(preset)),
        "hub",
        "a folder that exists, the name of a preset of keras-hub, or "
        "kaggle://OWNER/MODEL/keras/VARIATION",
        preset,
    )


def form_of(teacher: Teacher) -> str | None:
    """Which of `FORMS` a teacher has; None if it is a network of Keras."""
    return next((name for name in FORMS if getattr(teacher, name) is not None), None)


def cache_of(run: Run, *, answers_once: bool) -> Cache | None:
    """How a teacher's answers are kept; None if it is run in each step.

    Args:
        run: The run.
        answers_once: Whether this teacher only answers, so that the answers must be
            kept. Beside such a teacher of the run, an assistant is a network.
    """
    return run.teacher.cache or (Cache() if answers_once else None)


def without_cache(run: Run) -> Run:
    """The run without a cache, for networks that are trained on labels alone.

    A teacher that only answers keeps one variant: it is asked for nothing else.
    """
    # Without a teacher there are no outputs to cache, and so no reason to repeat a
    # fixed number of variants of each example.
    changes = run.augmentation.without_variants
    if changes.changes and form_of(run.teacher):
        changes = dataclasses.replace(changes, variants=1)
    return dataclasses.replace(
        run,
        augmentation=changes,
        teacher=dataclasses.replace(run.teacher, cache=None),
    )


def needs_logits(run: Run) -> bool:
    """Whether the teacher must have logits of the data's classes.

    It need not where all that learns from it compares other outputs of it.
    """
    methods = [
        stage.trainer
        for lesson in lessons.lessons(run)
        if lesson.teacher is None  # An assistant is a network.
        for stage in lesson.stages
        if stage.trainer.needs_teacher
    ]
    return not methods or any(method.needs_logits for method in methods)


def require_network(run: Run, what: str) -> None:
    """Refuses a run whose teacher only answers, for what runs the teacher itself.

    Args:
        run: The run.
        what: That is wanted, such as a command.

    Raises:
        ConfigError: Names the form.
    """
    if form := form_of(run.teacher):
        raise ConfigError(
            f"{what} needs a teacher that is a network. Received: `teacher.{form}`, "
            "which only answers"
        )


def check_run(run: Run) -> None:
    """Refuses what a teacher that only answers cannot do.

    Raises:
        ValueError: If an option does not fit; the message names it.
    """
    form = form_of(run.teacher)
    if form is None:
        return
    _check_partners(run, form)
    _check_precision(run, form)
    _check_augmentation(run, form)
    _check_unlabelled(run, form)
    if run.teacher.input is not None and run.data.kind == "images":
        run.teacher.input.check_images(run.data.input_shape)
    _check_names(run.teacher.class_names, run.data.class_names)
    for lesson in lessons.lessons(run):
        if lesson.teacher is None:  # An assistant is a network.
            _check_stages(lesson, form)


def _check_unlabelled(run, form):
    check(
        form != "answers" or run.data.unlabelled is None,
        "data.options.unlabelled",
        "absent with `teacher.answers`, which has no answers to them",
        run.data.unlabelled,
    )
    for index, part in enumerate(run.finish):
        share = getattr(part, "labelled_share", 1.0)
        rule = f"1 with `teacher.{form}`, whose answers to labelled examples are kept"
        kept = share == 1 or "train" not in run.data.labelled
        check(kept, f"finish[{index}].options.labelled_share", rule, share)


def _check_partners(run, form):
    rule = f"absent with `teacher.{form}`: other teachers stand beside a network only"
    check(not run.co_teachers, "co_teachers", rule, len(run.co_teachers))


def _check_precision(run, form):
    rule = f"float32 or mixed_bfloat16 with `teacher.{form}`: no steps can be measured"
    measures = run.hardware.precision == "auto"
    check(not measures, "hardware.precision", rule, run.hardware.precision)


def _check_augmentation(run, form):
    if form == "answers":
        rule = "left out with `teacher.answers`, which are to the examples as they are"
        changes = dataclasses.asdict(run.augmentation)
        check(not run.augmentation.changes, "augmentation", rule, changes)
    check(
        run.augmentation.variants or not run.augmentation.changes,
        "augmentation.variants",
        f"given with `teacher.{form}`, such as 8: it is asked once for each variant",
        None,
    )


def _check_names(theirs, ours):
    """Refuses class names among which those of the data are not, each once."""
    if not theirs:
        return
    missing = [name for name in ours if theirs.count(name) != 1]
    check(
        not missing,
        "teacher.class_names",
        "the teacher's classes in the order of its logits, each class of the data "
        f"among them once: {', '.join(ours)}",
        f"{', '.join(theirs)}, which lack {', '.join(missing)} or repeat them",
    )


def _check_stages(lesson, form):
    for index, stage in enumerate(lesson.stages):
        path = f"{lesson.stages_at}[{index}]"
        check(
            not stage.trainer.needs_network,
            f"{path}.trainer",
            f"one that needs only a teacher's answers: `teacher.{form}` has no network "
            "whose weights could be copied",
            stage.name,
        )
        check(
            stage.synthetic is None,
            f"{path}.synthetic",
            f"absent with `teacher.{form}`, which is asked once: made examples are new "
            "in each step",
            stage.synthetic,
        )
