"""Who teaches whom in a run, where several networks teach: pairs, each like a run.

The student learns from the last of the `assistants`, each assistant from the one
before, and the first from the teacher and its `co_teachers`, who teach the student
where there are no assistants. A model is named by its place: `teacher2` is the
first of the co-teachers, `assistant1` the first of the assistants.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from typing import NamedTuple

import students
import trainers
from distill.runtime.errors import check as check_option

if typing.TYPE_CHECKING:
    from distill.config.run import Run
    from distill.config.stage import Stage

Shapes = dict[str, tuple[int, ...]]


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
    stages: tuple[Stage, ...]
    has_co_teachers: bool
    where: str
    stages_at: str


def lessons(run: Run) -> Iterator[Lesson]:
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


def check(run: Run) -> None:
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


def check_asked(run: Run) -> None:
    """Refuses what counts for nothing because no stage asks a teacher.

    Raises:
        ValueError: Names the place.
    """
    asked = any(s.trainer.needs_teacher for part in lessons(run) for s in part.stages)
    idle = {
        "co_teachers": run.co_teachers,
        "assistants": run.assistants,
        "teacher.cache": run.teacher.cache,
    }
    for name, given in idle.items():
        check_option(
            asked or not given,
            name,
            "absent where no stage asks a teacher: it has no effect there",
            given,
        )
    for index, control in enumerate(run.controls):
        asks = any(stage.trainer.needs_teacher for stage in control.stages)
        check_option(
            asks or not control.skips_assistants,
            f"controls[{index}].skips_assistants",
            "left out where no stage of it asks a teacher: it has no effect there",
            True,
        )


def check_shapes(run: Run) -> None:
    """Refuses learners that cannot use their teachers' representations.

    Networks whose shapes only their graphs tell are left to `teach.networks.cuts`,
    which pairs a run's teacher and student alone.

    Raises:
        ValueError: Names the place.
    """
    parts = {"teacher.network": run.teacher.network, "student": run.student}
    parts |= {
        f"assistants[{index}].network": part.network
        for index, part in enumerate(run.assistants)
    }
    shapes = {
        part: _shapes(run, where, part)
        for where, part in parts.items()
        if part is not None
    }
    opaque = run.teacher.sections is not None or None in shapes.values()
    if opaque and run.assistants:
        raise ValueError(
            "`assistants` must be absent where `sections` of a Keras model are paired: "
            "only teacher and student are. "
            f"Received: {len(run.assistants)} of them"
        )
    for lesson in lessons(run):
        if lesson.teacher is None or opaque:
            continue
        pair = shapes[lesson.teacher], shapes[lesson.learner]
        _fit(lesson.stages, pair, lesson.where)


def check_pupil(run: Run, teacher: Shapes, student: Shapes) -> None:
    """The same for shapes that only the built networks tell.

    Args:
        run: Of the teacher and who learns from it; see `pupil`.
        teacher: Name of each representation to its shape, in order.
        student: The same for the student.

    Raises:
        ValueError: Says what does not fit.
    """
    for stages in (run.stages, *(control.stages for control in run.controls)):
        _fit(stages, (teacher, student), "student")


def _shapes(run, where, network):
    try:
        return network.shapes(run.data.input_shape)
    except ValueError as mistake:
        raise ValueError(f"`{where}`: {mistake}") from None


def _fit(stages, shapes, where):
    for stage in stages:
        try:
            stage.trainer.check_shapes(*shapes)
        except ValueError as mistake:
            raise ValueError(f"`{where}`: {mistake}") from None


def co_teachers(run: Run) -> dict[str, Run]:
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


def given(run: Run) -> list[str]:
    """Names of the networks that were trained elsewhere, and come in a file."""
    teachers = {"teacher": run.teacher}
    teachers |= {name: part.teacher for name, part in co_teachers(run).items()}
    files = {name: part.file or _file(part.network) for name, part in teachers.items()}
    files["student"] = _file(run.student)
    return [name for name, file in files.items() if file]


def _file(network):
    return network.file if isinstance(network, students.KerasModel) else None


def assistants(run: Run) -> dict[str, Run]:
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


def pupil(run: Run) -> Run:
    """The run of who learns from the teacher: itself, or that of an assistant."""
    return next(iter(assistants(run).values()), run)
