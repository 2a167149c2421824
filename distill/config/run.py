"""The config of a run, and the checks of parts that must fit each other."""

import dataclasses
from typing import Annotated, Any, ClassVar, Literal

import students
from distill import data
from distill.compress import finishers
from distill.compress.search import budget as budgets
from distill.config import answering, cache, lessons, reference, roles, writer
from distill.config import hardware as machines
from distill.config.checks import modality, unlabelled
from distill.config.stage import Stage
from distill.data.augmentation import Augmentation
from distill.runtime.errors import check


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that decides the outcome of `python -m distill.train`.

    Attributes:
        data: The data set to train and measure on; see `distill.data.DATASETS`.
        augmentation: Random changes to training images.
        batch_size: Training examples in a step.
        seed: Seed of initial weights, order of examples and augmentation.
        teacher: The network that the student imitates, also while it is finished, and
            whose agreement with the student is measured.
        co_teachers: Further teachers, whose logits are imitated by methods that support
            several teachers; representations are those of `teacher`.
        assistants: Networks between teacher and student, in order: the first learns
            from the teachers, the student from the last.
        generator: The GAN that makes examples for `synthetic: {name: gan}`.
        student: The network that is trained and exported; see `students.BUILDERS`.
        stages: The stages of the student's training, in order.
        controls: The same student trained in other ways, for comparison.
        finish: The finishers that make files of the trained student; see
            `distill.compress.finishers.FINISHERS`.
        target: Where the files are meant to run: `micro` runs each in TFLite Micro
            too, which needs `pip install -e '.[micro]'`.
        budget: Limits on the cost of the last file of `finish`, which alone must then
            keep its promises; see `distill.compress.search.budget.Limits`.
        max_accuracy_drop: A file fails if its accuracy on the validation split is more
            than this many percentage points below the student's. With a budget, its
            `max_drop` is used instead.
        references: Files that were made elsewhere, measured beside those of the run;
            see `reference.Reference`.
        hardware: What the run is computed with.
        track: A service that also gets the run's config, numbers, report and files; see
            docs/track.md. It needs the extra of its name, such as `pip install -e
            '.[mlflow]'`.
    """

    only_with: ClassVar[dict[str, str]] = {
        "target": "finish",
        "budget": "finish",
        "max_accuracy_drop": "finish and no budget",
    }
    omitted_when_absent: ClassVar[tuple[str, ...]] = (
        "target",
        "budget",
        "references",
        "track",
    )

    data: Annotated[data.Dataset, data.DATASETS]
    augmentation: Augmentation = Augmentation()
    batch_size: int = 128
    seed: int = 0
    teacher: roles.Teacher
    co_teachers: tuple[roles.CoTeacher, ...] = ()
    assistants: tuple[roles.Assistant, ...] = ()
    generator: roles.Generator | None = None
    student: Annotated[students.Network, students.BUILDERS]
    stages: tuple[Stage, ...]
    controls: tuple[roles.Control, ...] = ()
    finish: tuple[Annotated[finishers.Finisher, finishers.FINISHERS], ...] = ()
    target: Literal["micro"] | None = None
    budget: budgets.Limits | None = None
    max_accuracy_drop: float = 1.0
    references: tuple[reference.Reference, ...] = ()
    hardware: machines.Hardware = machines.Hardware()
    track: Literal["mlflow", "wandb", "trackio"] | None = None

    def __post_init__(self):
        """Refuses options that do not fit each other."""
        check_common(self)
        check(len(self.stages) >= 1, "stages", "a list of at least one", [])
        self._check_teachers()
        self._check_controls()
        self._check_generator()
        lessons.check_shapes(self)
        unlabelled.check_run(self)
        answering.check_run(self)
        cache.check_run(self)

    def check_effects(self):
        """Refuses teachers, and options of them, that no stage uses."""
        lessons.check_teachers_used(self)
        unlabelled.check_used(self)

    def _check_teachers(self):
        teachers = {f"co_teachers[{i}]": t for i, t in enumerate(self.co_teachers)}
        for where, teacher in {"teacher": self.teacher, **teachers}.items():
            for index, stage in enumerate(teacher.stages):
                check(
                    not stage.trainer.needs_teacher,
                    f"{where}.stages[{index}].trainer",
                    "one that needs no teacher, such as supervised",
                    stage.name,
                )
        lessons.check(self)

    def _check_controls(self):
        names = [control.name for control in self.controls]
        skipping = [part.name for part in self.controls if part.skips_assistants]
        check(
            self.assistants or not skipping,
            "controls",
            "without `skips_assistants` where there are no `assistants`",
            skipping,
        )
        check(len(set(names)) == len(names), "controls", "of different names", names)
        # With gradients of several batches in one update, equal epochs are not equal
        # updates; either one is a fair comparison.
        epochs, updates = _count_epochs(self.stages)
        for index, control in enumerate(self.controls):
            own = _count_epochs(control.stages)
            fewer = f", or {updates}, for as many updates" if updates != epochs else ""
            check(
                own[0] == epochs or own[1] == updates,
                f"controls[{index}].stages",
                f"as many epochs as the student's stages, {epochs}{fewer}: else the "
                "two cannot be compared",
                own[0],
            )

    def with_hardware(self, **options: Any) -> "Run":
        """The same run with other values of these options of `hardware`."""
        part = dataclasses.replace(self.hardware, **options)
        return dataclasses.replace(self, hardware=part)

    @property
    def uses_generator(self) -> bool:
        """Whether any stage uses examples of the generator."""
        learners = [lesson.stages for lesson in lessons.lessons(self)]
        sources = [stage.synthetic for stages in learners for stage in stages]
        return any(part is not None and part.needs_generator for part in sources)

    def _check_generator(self):
        check(
            self.generator is not None or not self.uses_generator,
            "generator",
            "given for `synthetic: {name: gan}`",
            None,
        )
        if self.generator is None:
            return
        for name in ("network", "discriminator"):
            try:
                getattr(self.generator, name).check_shape(self.data.input_shape)
            except ValueError as error:
                raise ValueError(f"`generator.{name}`: {error}") from error


def _count_epochs(stages):
    """Total epochs, and epochs with as many updates if each batch made one."""
    return sum(s.epochs for s in stages), sum(s.epochs_of_updates for s in stages)


def check_common(run: Any) -> None:
    """Checks that training and finishing share: numbers, augmentation, finishers.

    Args:
        run: A `Run`, or another config with these fields.

    Raises:
        ValueError: If an option does not fit; the message names it.
    """
    check(run.batch_size >= 1, "batch_size", "at least 1", run.batch_size)
    check(run.seed >= 0, "seed", "at least 0", run.seed)
    check(
        run.max_accuracy_drop >= 0,
        "max_accuracy_drop",
        "at least 0",
        run.max_accuracy_drop,
    )
    arena = run.budget and run.budget.max_arena_kb
    rule = "left out without `target: micro`, where alone the arena is measured"
    check(arena is None or run.target == "micro", "budget.max_arena_kb", rule, arena)
    modality.check(run)
    # After `modality.check`: texts, whose only size is their length, cannot be shifted.
    size = min(run.data.input_shape[:2])
    check(
        run.augmentation.shift < size,
        "augmentation.shift",
        f"less than the images' {size} pixels",
        run.augmentation.shift,
    )
    _check_references(run)
    names = [writer.name_of(part) for part in run.finish]
    check(len(set(names)) == len(names), "finish", "of different names", names)
    for index, part in enumerate(run.finish):
        for needed in part.needs:
            check(
                needed in names[:index],
                f"finish[{index}]",
                f"after `{needed}`, from which `{names[index]}` starts",
                names,
            )


def _check_references(run):
    titles = [part.title for part in run.references]
    check(len(set(titles)) == len(titles), "references", "of different names", titles)
    for index, part in enumerate(run.references):
        check(
            run.data.kind == "images" or part.input_range == (0.0, 1.0),
            f"references[{index}].input_range",
            "left out where the inputs are no images: it has no effect there",
            list(part.input_range),
        )
