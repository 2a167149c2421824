"""The options of one stage of a network's training."""

import dataclasses
import math
from typing import Annotated, ClassVar, Literal

import trainers
from distill.config import schema
from distill.data.synthetic import sources
from distill.runtime.errors import check


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage: training with one method and one optimizer.

    Attributes:
        trainer: The method; see `trainers.TRAINERS`.
        epochs: Number of passes over the training examples that have labels.
        learning_rate: Learning rate of the first step.
        schedule: Learning rate schedule: `constant`; `cosine`, which decays to zero
            at the last step; or `step`, which multiplies by `decay_factor` at each
            of `decay_epochs`.
        decay_epochs: Epochs at which `step` decays; increasing.
        decay_factor: Factor by which `step` multiplies; between 0 and 1.
        optimizer: `sgd` (with Nesterov momentum) or `adam`.
        momentum: Momentum of SGD.
        clip_norm: Maximal global norm of the gradient of the student's weights;
            absent, gradients are not clipped.
        task_weight: Weight of the loss on the true labels. Absent, the default of the
            `trainer`: 0.1 for methods with a `kd_weight`, 0 for `embedding` and for
            methods whose steps do not compute the student's logits, else 1.
        synthetic: Synthetic examples, which the teacher labels; see
            `distill.data.synthetic.sources.SOURCES`.
        labelled_share: Share of labelled examples in each batch; the others are
            `data.options.unlabelled`, which only the teacher labels. The loss is the
            mean over all, so that labels weigh as much as their share. With 0, an
            epoch is a pass over the unlabelled examples, and `task_weight` is 0.
    """

    omitted_when_absent: ClassVar[tuple[str, ...]] = ("labelled_share",)
    only_with: ClassVar[dict[str, str]] = {
        "decay_epochs": "schedule: step",
        "decay_factor": "schedule: step",
        "momentum": "optimizer: sgd",
    }

    trainer: Annotated[trainers.Supervised, trainers.TRAINERS]
    epochs: int
    learning_rate: float = 0.1
    schedule: Literal["constant", "cosine", "step"] = "cosine"
    decay_epochs: tuple[int, ...] = ()
    decay_factor: float = 0.1
    optimizer: Literal["sgd", "adam"] = "sgd"
    momentum: float = 0.9
    clip_norm: float | None = None
    task_weight: float = None  # type: ignore[assignment]  # See `__post_init__`.
    synthetic: Annotated[sources.Synthetic | None, sources.SOURCES] = None
    labelled_share: float = 1.0

    def __post_init__(self):
        """Fills in the default of `task_weight`, and refuses values out of range."""
        if self.task_weight is None:
            # The way to set an attribute of a frozen dataclass.
            default = self.trainer.task_weight if self.labelled_share else 0.0
            object.__setattr__(self, "task_weight", default)
        check(self.epochs >= 1, "epochs", "at least 1", self.epochs)
        check(self.learning_rate > 0, "learning_rate", "positive", self.learning_rate)
        check(0 <= self.momentum < 1, "momentum", "in [0, 1)", self.momentum)
        check(
            self.clip_norm is None or self.clip_norm > 0,
            "clip_norm",
            "positive, or absent",
            self.clip_norm,
        )
        check(self.task_weight >= 0, "task_weight", "at least 0", self.task_weight)
        factor = self.decay_factor
        check(0 < factor < 1, "decay_factor", "between 0 and 1", factor)
        rising = sorted(set(self.decay_epochs)) == list(self.decay_epochs)
        inside = all(0 < epoch < self.epochs for epoch in self.decay_epochs)
        check(
            rising and inside,
            "decay_epochs",
            f"increasing, between 0 and `epochs` = {self.epochs}",
            list(self.decay_epochs),
        )
        check(
            bool(self.decay_epochs) == (self.schedule == "step"),
            "decay_epochs",
            "given with `schedule: step`, and only then",
            list(self.decay_epochs),
        )
        check(
            self.synthetic is None or self.trainer.needs_teacher,
            "synthetic",
            "absent without a trainer that has a teacher, which labels the examples",
            self.synthetic,
        )
        self._check_labelled_share()
        check(
            self.trainer.end_to_end or not self.task_weight,
            "task_weight",
            f"0 with `{self.name}`, whose steps compute no logits to be compared",
            self.task_weight,
        )

    def _check_labelled_share(self):
        share = self.labelled_share
        check(0 <= share <= 1, "labelled_share", "in [0, 1]", share)
        check(
            share == 1 or self.trainer.needs_teacher,
            "labelled_share",
            "1 without a trainer that has a teacher, which labels the other examples",
            share,
        )
        check(
            share == 1 or self.synthetic is None,
            "labelled_share",
            "1 beside `synthetic`, whose examples would take the labelled ones' place",
            share,
        )
        check(
            share > 0 or not self.task_weight,
            "task_weight",
            "0 with `labelled_share: 0`, where no example has a label",
            self.task_weight,
        )

    @property
    def name(self) -> str:
        """The trainer's name in `trainers.TRAINERS`."""
        return schema.name_in(trainers.TRAINERS, self.trainer)

    @property
    def epochs_of_updates(self) -> int:
        """Epochs with as many updates if each labelled batch makes one; rounded up."""
        # So a control of this many epochs, which updates after every batch, has no
        # fewer updates than the student.
        return math.ceil(round(self.epochs / self.epochs_per_plain, 6))

    @property
    def epochs_per_plain(self) -> float:
        """Epochs with as many updates as one in which each batch makes one.

        Batches of fewer labelled examples are more in an epoch.
        """
        return self.trainer.steps_per_update * (self.labelled_share or 1)
