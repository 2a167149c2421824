"""Learning from labels alone: how a teacher, or a control, is trained."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple


class Step(NamedTuple):
    """What a method gets in one training step.

    Attributes:
        inputs: The inputs, `(batch, ...)`.
        labels: The true classes, `(batch,)`.
        taught: The teacher's outputs, a dict with `"logits"` and its
            representations, in inference mode. With co-teachers also
            `"co_logits"`, `(batch, co-teachers, classes)`, and `"co_weights"`,
            `(batch, co-teachers)`.
        learned: The student's outputs, likewise.
        training: Whether the student is in training mode.
    """

    inputs: Any
    labels: Any
    taught: Mapping[str, Any]
    learned: Mapping[str, Any]
    training: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Supervised:
    """The task's loss and the regularisers, no teacher. The base of all methods.

    Attributes:
        only_with: Options that count beside others alone; see `distill.config.effect`.
        task_weight: That of a stage which gives none.
        takes: Kinds of inputs that it works on: `images`, `texts`.
        needs_teacher: Whether the method needs a teacher.
        recalibrates: Whether BatchNormalization's statistics are measured again at
            the end of the stage.
        stop_on_collapse: Whether an `alarm` ends the run instead of warning.
        end_to_end: Whether a training step runs the whole student. If not,
            `step.learned` is empty in training, and there is no loss on the labels.
        relates_examples: Whether an example's terms depend on the other examples of
            its batch, in training mode or not. Sample weights then choose whose terms
            count; every example is still compared with the others.
        teaches_copies: Whether terms stay above 0 for a perfect copy of the
            teacher.
        imitates_several: Whether the outputs of co-teachers are imitated too.
        needs_logits: Whether it uses the teacher's logits. If not, it must not use
            labels either: those of unlabelled examples may then be any.
        needs_network: Whether it uses the teacher's layers, and not its outputs alone.

    Raises:
        ValueError: If an option named `..._weight` is negative, or one named
            `...temperature` is not positive.
    """

    only_with: ClassVar[dict[str, str]] = {}
    task_weight: ClassVar[float] = 1.0
    takes: ClassVar[tuple[str, ...]] = ("images", "texts")
    stop_on_collapse: ClassVar[bool] = False
    needs_teacher: ClassVar[bool] = False
    recalibrates: ClassVar[bool] = False
    end_to_end: ClassVar[bool] = True
    relates_examples: ClassVar[bool] = False
    teaches_copies: ClassVar[bool] = False
    imitates_several: ClassVar[bool] = False
    needs_logits: ClassVar[bool] = True
    needs_network: ClassVar[bool] = False

    def __post_init__(self):
        """Refuses weights and temperatures that are out of range."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_weight") and value < 0:
                raise ValueError(
                    f"`{field.name}` must be at least 0. Received: {value}"
                )
            if field.name.endswith("temperature") and value <= 0:
                raise ValueError(f"`{field.name}` must be positive. Received: {value}")

    @property
    def steps_per_update(self) -> int:
        """Batches whose gradients are averaged for one update of the student."""
        return 1

    @property
    def softens_at(self) -> float | None:
        """The temperature, if `terms` use the teacher's logits only after one softmax.

        None if they use the logits in any other way, or at several temperatures.
        """
        return None

    def asks(
        self,
        teacher: Mapping[str, tuple[int, ...]],
        student: Mapping[str, tuple[int, ...]],
    ) -> tuple[str, ...]:
        """Names of the teacher's outputs that a step needs: `logits` first, if it does.

        Args:
            teacher: Name of each representation to its shape, in order.
            student: The same for the student.
        """
        return ("logits",)

    def check_shapes(
        self,
        teacher: dict[str, tuple[int, ...]],
        student: dict[str, tuple[int, ...]],
    ) -> None:
        """Refuses a pair of networks that the method cannot use.

        Args:
            teacher: Name of each representation to its shape, in order.
            student: The same for the student.

        Raises:
            ValueError: If the pair cannot be used; names both shapes.
        """

    def prepare(self, teacher: Any, student: Any) -> None:
        """Prepares both built `keras.Model`s, once before a stage trains."""

    def companions(self, teacher: Any, student: Any) -> dict[str, Any]:
        """Builds networks that are trained with the student and never exported.

        Args:
            teacher: The built teacher.
            student: The built student.

        Returns:
            Name to `keras.Model`, such as `discriminator` or a projector. The
            trainer holds them as `trainer.companions`.
        """
        return {}

    def optimizers(self, companions: dict[str, Any]) -> dict[str, Any]:
        """Builds an optimizer for each companion that does not share the student's.

        Args:
            companions: As `companions` returned them.

        Returns:
            Name to `keras.optimizers.Optimizer`, new at each call; several
            companions may share one.
        """
        return {}

    def terms(self, trainer: Any, step: Step) -> dict[str, Any]:
        """Computes the losses of the distillation.

        Args:
            trainer: The calling `Trainer`; it has `teacher`, `student` and
                `companions`, and logs numbers with `track`.
            step: The batch, and both networks' outputs for it.

        Returns:
            Name of each term to one number per example, shape `(batch,)`,
            already weighted: the distillation loss is their sum.
        """
        return {}

    def alarm(self, history: Mapping[str, Sequence[float]]) -> str | None:
        """Returns a message for the user if training has collapsed, else None.

        Args:
            history: Name of each logged number to its value in each epoch so far.
        """
        return None
