"""The config of `python -m distill.finish`."""

import dataclasses
import pathlib
import typing
from typing import Annotated, ClassVar, Literal

import students
import trainers
from distill import data
from distill.compress import finishers
from distill.compress.base.finisher import TrainedFinisher
from distill.compress.search import budget as budgets
from distill.config import answering, reader, reference, roles, writer, yaml_tree
from distill.config.checks import unlabelled
from distill.config.run import Run, check_common
from distill.config.stage import Stage
from distill.data.augmentation import Augmentation
from distill.runtime.errors import check


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finishing:
    """Everything that decides the outcome of `python -m distill.finish`.

    Attributes:
        model: A trained `.keras` file: a functional model of one input, to
            logits or a dict with `logits`.
        sha256: SHA-256 hash of the file `model`; another file is refused.
        teacher: Another such file, or one of the forms of a teacher that only answers,
            such as `{onnx: teacher.onnx}`; see docs/teachers.md. Finishers that train
            the model distill from it; without it, they train it on the labels alone.
        teacher_sha256: SHA-256 hash of the file `teacher`; another file is refused.
        data: The data set to train and measure on; see `distill.data.DATASETS`.
        augmentation: Random changes to training images.
        batch_size: Training examples in a step.
        seed: Seed of the order of examples and of the augmentation.
        finish: The finishers that make files of the model; see `finishers.FINISHERS`.
            In a search, the options of the finishers that are tried; may be left out.
        target: Where the files are meant to run: `micro` runs each in TFLite Micro
            too, which needs `pip install -e '.[micro]'`.
        budget: Limits on the cost of the last file, and how to search for it; see
            `distill.compress.search.budget.Budget`.
        max_accuracy_drop: A file fails if its accuracy on the validation split is more
            than this many percentage points below the model's. With a budget, its
            `max_drop` is used instead.
        references: Files that were made elsewhere, measured beside these; see
            `reference.Reference`.
    """

    only_with: ClassVar[dict[str, str]] = {
        "teacher_sha256": "teacher",
        "max_accuracy_drop": "no budget",
    }
    omitted_when_absent: ClassVar[tuple[str, ...]] = ("target", "references")

    model: str
    sha256: str | None = None
    teacher: roles.Teacher | str | None = None
    teacher_sha256: str | None = None
    data: Annotated[data.Dataset, data.DATASETS]
    augmentation: Augmentation = Augmentation()
    batch_size: int = 128
    seed: int = 0
    finish: tuple[Annotated[finishers.Finisher, finishers.FINISHERS], ...] = ()
    target: Literal["micro"] | None = None
    budget: budgets.Budget | None = None
    max_accuracy_drop: float = 1.0
    references: tuple[reference.Reference, ...] = ()

    def __post_init__(self):
        """Refuses options that do not fit each other."""
        # Here, and not when the files are opened, so that data are not read in vain.
        for name in ("model", "teacher"):
            path = getattr(self, name)
            if isinstance(path, str) and not pathlib.Path(path).expanduser().exists():
                raise ValueError(
                    f"`{name}` must be a file that exists. Received: {path}"
                )
        if not self.finish and not self.searches:
            raise ValueError("`finish` must be a list of at least one. Received: []")
        check_common(self)
        if isinstance(self.teacher, roles.Teacher):
            self._check_answering(self.teacher)
        unlabelled.check_run(self)
        for where, share in unlabelled.shares(self):
            rule = "1 without `teacher`, which labels the other examples"
            check(share == 1 or self.teacher is not None, where, rule, share)

    def check_effects(self):
        """Refuses options that were set and have no effect."""
        trained = [isinstance(part, TrainedFinisher) for part in self.finish]
        check(
            any(trained) or self.searches or not self.augmentation.changes,
            "augmentation",
            "left out where nothing in `finish` trains: it has no effect there",
            writer.plain(self.augmentation),
        )
        for index, part in enumerate(self.finish):
            where = f"finish[{index}].options"
            if trained[index] and self.teacher is None:
                rule = "left out without `teacher`: it has no effect there"
                _check_default(part, "temperature", where, rule)
            if self.searches:
                for name in part.open_options:
                    rule = "left out with `budget.trials`: the search chooses it"
                    _check_default(part, name, where, rule)
        unlabelled.check_used(self)
        if self.budget is not None and self.searches:
            self._check_among(self.budget.among or finishers.SEARCHED)

    def _check_answering(self, teacher):
        """Refuses a teacher that is a network, and what one that answers cannot do."""
        form = answering.form_of(teacher)
        rule = "the path of a .keras file, or a form of a teacher that only answers"
        check(form is not None, "teacher", rule, "a network to train, or `file`")
        rule = f"absent beside `teacher.{form}`, which has its own `sha256`"
        check(self.teacher_sha256 is None, "teacher_sha256", rule, self.teacher_sha256)
        assert self.as_run().teacher is teacher

    def as_run(self) -> Run:
        """The run in which the model is the student of a teacher that only answers."""
        return Run(
            data=self.data,
            augmentation=self.augmentation,
            batch_size=self.batch_size,
            seed=self.seed,
            teacher=typing.cast(roles.Teacher, self.teacher),
            student=students.KerasFile(path=self.model, sha256=self.sha256),
            stages=(
                Stage(
                    trainer=trainers.KD(),
                    epochs=1,
                    labelled_share=float("train" in self.data.labelled),
                ),
            ),
            finish=self.finish,
        )

    def _check_among(self, among):
        """Refuses options of a finisher that the search does not use."""
        # A search also makes the files from which those that it tries start.
        usable = {*among}.union(*(finishers.FINISHERS[name].needs for name in among))
        for index, part in enumerate(self.finish):
            check(
                writer.name_of(part) in usable,
                f"finish[{index}]",
                f"made by the search: one of {', '.join(sorted(usable))}",
                writer.name_of(part),
            )

    @property
    def stages(self) -> tuple:
        """No stages: the model is already trained."""
        return ()

    # `run.evaluation.gather` reads both fields of every config.
    controls = stages  # No controls either.

    @property
    def searches(self) -> bool:
        """Whether a search chooses the finishers and their options."""
        return self.budget is not None and self.budget.trials > 0


def _check_default(part, name, where, rule):
    value = getattr(part, name)
    check(value == getattr(type(part), name), f"{where}.{name}", rule, value)


def config_class(path: str | pathlib.Path) -> type:
    """The class of a config: `config.Run` if it has a student, else `Finishing`.

    Args:
        path: As for `config.read`.

    Raises:
        ConfigError: If there is no such file, or it cannot be read.
    """
    # The nodes only: `schema.fill` would need the class that is asked for here.
    node = yaml_tree.read(
        reader.find(path), lambda base, child: reader.find(base, child.parent)
    )
    return Run if "student" in yaml_tree.pairs(node) else Finishing
