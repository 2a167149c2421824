"""Divides a run with several teachers or assistants into pairs of teacher and learner.

The student learns from the last of the `assistants`, each assistant from the previous
one, and the first assistant from the teacher and the `co_teachers`. Without assistants,
the student learns from the teacher and the co-teachers. A network is named by its
position: `teacher2` is the first co-teacher, `assistant1` the first assistant.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from typing import NamedTuple

import students
import trainers
from distill.runtime.errors import check as check_option

# For annotations only: `config.run` imports this module.
if typing.TYPE_CHECKING:
    from distill.config.run import Run
    from distill.config.stage import Stage

Shapes = dict[str, tuple[int, ...]]


class Lesson(NamedTuple):
    """A network that is trained, and its teacher.

    Attributes:
        teacher: The teacher whose representations are used; None if it is a file, or
            only answers.
        learner: The network that is trained.
        stages: The stages of its training.
        has_co_teachers: Whether the outputs of co-teachers are imitated too.
        where: Path of the learner in the config.
        stages_at: Path of the stages in the config.
    """

    teacher: students.Network | None
    learner: students.Network
    stages: tuple[Stage, ...]
    has_co_teachers: bool
    where: str
    stages_at: str


def lessons(run: Run) -> Iterator[Lesson]:
    """Yields assistants, student and controls, each with its teacher and stages."""
    several = bool(run.co_teachers)
    first = teacher = (run.teacher.network, several)
    for index, part in enumerate(run.assistants):
        at = f"assistants[{index}]"
        network, several = teacher
        yield Lesson(network, part.network, part.stages, several, at, f"{at}.stages")
        teacher = part.network, False  # Co-teachers teach only the first learner.
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
    """Refuses stages that cannot imitate the run's co-teachers.

    Raises:
        ValueError: If a stage does not fit; the message names its path.
    """
    capable = [
        name for name, kind in trainers.TRAINERS.items() if kind.imitates_several
    ]
    for lesson in lessons(run):
        for index, stage in enumerate(lesson.stages):
            method = stage.trainer
            unable = method.needs_teacher and not method.imitates_several
            if lesson.has_co_teachers and unable:
                raise ValueError(
                    f"`{lesson.stages_at}[{index}].trainer` must be one that imitates "
                    f"`co_teachers` too: {', '.join(capable)}. Received: {stage.name!r}"
                )


def check_teachers_used(run: Run) -> None:
    """Refuses options that have no effect because no stage uses a teacher.

    Raises:
        ValueError: If there is such an option; the message names its path.
    """
    has_teacher = any(
        s.trainer.needs_teacher for part in lessons(run) for s in part.stages
    )
    idle = {
        "co_teachers": run.co_teachers,
        "assistants": run.assistants,
        "teacher.cache": run.teacher.cache,
    }
    for name, value in idle.items():
        check_option(
            has_teacher or not value,
            name,
            "absent where no stage has a teacher: it has no effect there",
            value,
        )
    for index, control in enumerate(run.controls):
        has_own = any(stage.trainer.needs_teacher for stage in control.stages)
        check_option(
            has_own or not control.skips_assistants,
            f"controls[{index}].skips_assistants",
            "left out where none of its stages has a teacher: it has no effect there",
            True,
        )


def check_shapes(run: Run) -> None:
    """Refuses learners that cannot use their teachers' representations.

    Networks whose shapes are known only after they are built are checked later, in
    `teach.networks.cuts`, which supports only the teacher and the student of a run.

    Raises:
        ValueError: If shapes do not fit; the message names the learner's path.
    """
    parts = {"teacher.network": run.teacher.network, "student": run.student}
    parts |= {
        f"assistants[{index}].network": part.network
        for index, part in enumerate(run.assistants)
    }
    shapes = {
        part: _shapes(run, where, part)  # Equal networks have equal shapes.
        for where, part in parts.items()
        if part is not None
    }
    # None stands for a network whose shapes are known only after it is built.
    opaque = run.teacher.sections is not None or None in shapes.values()
    if opaque and run.assistants:
        raise ValueError(
            "`assistants` must be absent where `sections` of a Keras model are paired: "
            "this is possible for teacher and student only. "
            f"Received: {len(run.assistants)} of them"
        )
    for lesson in lessons(run):
        if lesson.teacher is None or opaque:
            continue  # `check_pupil` follows, once the networks are built.
        pair = shapes[lesson.teacher], shapes[lesson.learner]
        _check_stages(lesson.stages, pair, lesson.where)


def check_pupil(run: Run, teacher: Shapes, student: Shapes) -> None:
    """Refuses a student whose shapes do not fit; for networks that have been built.

    Args:
        run: The run of the teacher and of the network that learns from it; see `pupil`.
        teacher: Name of each of the teacher's representations to its shape, in order.
        student: The same for the student.

    Raises:
        ValueError: If shapes do not fit; the message says which.
    """
    for stages in (run.stages, *(control.stages for control in run.controls)):
        _check_stages(stages, (teacher, student), "student")


def _shapes(run, where, network):
    try:
        return network.shapes(run.data.input_shape)
    except ValueError as error:
        raise ValueError(f"`{where}`: {error}") from error


def _check_stages(stages, shapes, where):
    for stage in stages:
        try:
            stage.trainer.check_shapes(*shapes)
        except ValueError as error:
            raise ValueError(f"`{where}`: {error}") from error


def co_teachers(run: Run) -> dict[str, Run]:
    """Name of each co-teacher to the run in which it is the teacher.

    The run's only stage is KD, which needs logits only: a co-teacher's representations
    need not fit the student.
    """
    stage = dataclasses.replace(run.stages[0], trainer=trainers.KD())
    single = dataclasses.replace(
        run, co_teachers=(), assistants=(), controls=(), stages=(stage,), finish=()
    )
    return {
        f"teacher{number}": dataclasses.replace(single, teacher=part.teacher)
        for number, part in enumerate(run.co_teachers, start=2)
    }


def pretrained_names(run: Run) -> list[str]:
    """Names of the networks that were trained elsewhere and come as files."""
    teachers = {"teacher": run.teacher}
    teachers |= {name: part.teacher for name, part in co_teachers(run).items()}
    files = {
        name: part.network is None or _file(part.network)
        for name, part in teachers.items()
    }
    files["student"] = _file(run.student)
    titles = [part.title for part in run.references]
    return [*(name for name, file in files.items() if file), *titles]


def _file(network):
    return network.file if isinstance(network, students.KerasModel) else None


def assistants(run: Run) -> dict[str, Run]:
    """Name of each assistant, in order, to the run in which it is the student."""
    return {
        f"assistant{index + 1}": dataclasses.replace(
            run,
            student=part.network,
            stages=part.stages,
            assistants=run.assistants[:index],  # Those that teach this one.
            controls=(),
            finish=(),
        )
        for index, part in enumerate(run.assistants)
    }


def pupil(run: Run) -> Run:
    """The run whose student has the teacher itself: the first assistant's, or `run`."""
    return next(iter(assistants(run).values()), run)
