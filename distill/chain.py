"""Who teaches whom in a run, where several networks teach: pairs, each like a run.

The student learns from the last of the `assistants`, each assistant from the one
before, and the first from the teacher and its `co_teachers`, who teach the student
where there are no assistants. A model is named by its place: `teacher2` is the
first of the co-teachers, `assistant1` the first of the assistants.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import typing
from collections.abc import Iterator
from typing import NamedTuple

import students
import trainers
from distill import scan

if typing.TYPE_CHECKING:
    from distill import config

_RESERVED = re.compile("(teacher|assistant)[0-9]*|student")


class Lesson(NamedTuple):
    """One learner of a run, and whom it learns from.

    Attributes:
        teacher: Whose representations it sees; None for that of a file.
        learner: What is trained.
        stages: How.
        has_co_teachers: Whether several answers are to be imitated.
        where: The learner's path in the config.
        stages_at: The stages' path in the config.
    """

    teacher: students.Network | None
    learner: students.Network
    stages: tuple[config.Stage, ...]
    has_co_teachers: bool
    where: str
    stages_at: str


def lessons(run: config.Run) -> Iterator[Lesson]:
    """Every learner of a run that may have a teacher."""
    several = bool(run.co_teachers)
    first = teacher = (run.teacher.network, several)
    for index, part in enumerate(run.assistants):
        at = f"assistants[{index}]"
        network, several = teacher
        yield Lesson(network, part.network, part.stages, several, at, f"{at}.stages")
        teacher = part.network, False
    learners = [(run.stages, teacher, "stages")]
    learners += [
        (
            part.stages,
            first if part.skips_assistants else teacher,
            f"controls[{i}].stages",
        )
        for i, part in enumerate(run.controls)
    ]
    for stages, (network, several), at in learners:
        yield Lesson(network, run.student, stages, several, "student", at)


def check(run: config.Run) -> None:
    """Refuses co-teachers that cannot be trained or imitated.

    Raises:
        ValueError: Names the place.
    """
    able = [name for name, kind in trainers.TRAINERS.items() if kind.imitates_several]
    for lesson in lessons(run):
        for index, stage in enumerate(lesson.stages):
            method = stage.trainer
            deaf = method.needs_teacher and not method.imitates_several
            if lesson.has_co_teachers and deaf:
                raise ValueError(
                    f"`{lesson.stages_at}[{index}].trainer` must be one that imitates "
                    f"`co_teachers` too: {', '.join(able)}. Received: {stage.name!r}"
                )


def is_reserved(name: str) -> bool:
    """Whether a teacher, an assistant or the student has or may have this name."""
    return _RESERVED.fullmatch(name) is not None


def co_teachers(run: config.Run) -> dict[str, config.Run]:
    """Name of each co-teacher to the run in which it would be the teacher.

    Its answers alone are asked: no representation of it must fit the student.
    """
    asked = dataclasses.replace(run.stages[0], trainer=trainers.KD())
    bare = dataclasses.replace(
        run, co_teachers=(), assistants=(), controls=(), stages=(asked,), finish=()
    )
    return {
        f"teacher{number}": dataclasses.replace(bare, teacher=part.teacher)
        for number, part in enumerate(run.co_teachers, start=2)
    }


def assistants(run: config.Run) -> dict[str, config.Run]:
    """Name of each assistant, in order, to the run in which it is the student."""
    return {
        f"assistant{index + 1}": dataclasses.replace(
            run,
            student=part.network,
            stages=part.stages,
            assistants=run.assistants[:index],
            controls=(),
            finish=(),
        )
        for index, part in enumerate(run.assistants)
    }


def pupil(run: config.Run) -> config.Run:
    """The run of who learns from the teacher: itself, or that of an assistant."""
    return next(iter(assistants(run).values()), run)


def files(run: config.Run) -> dict[str, str]:
    """What each teacher that is given as a file hashes to.

    Raises:
        Untrusted: If one is nothing to open.
    """
    found = {}
    for name, part in {"teacher": run, **co_teachers(run)}.items():
        if part.teacher.file is not None:
            path = pathlib.Path(part.teacher.file).expanduser()
            scan.members(path, part.teacher.sha256)
            found[f"{name} file"] = scan.file_hash(path)
    return found
