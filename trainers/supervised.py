"""Learning from labels alone: how a teacher, or a control, is trained."""

import dataclasses
from typing import Any, ClassVar


@dataclasses.dataclass(frozen=True, kw_only=True)
class Supervised:
    """No teacher: the task's loss and the regularisers. The base of all methods.

    Attributes:
        needs_teacher: Whether the method asks a teacher.
        recalibrates: Whether BatchNorm statistics are measured anew at the end
            of the stage.
    """

    needs_teacher: ClassVar[bool] = False
    recalibrates: ClassVar[bool] = False

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
        """Called once before a stage trains, with both built `keras.Model`s."""

    def terms(
        self, trainer: Any, taught: Any, learned: Any, training: bool
    ) -> dict[str, Any]:
        """What is learned from the teacher.

        Args:
            trainer: The `Trainer` that asks; it holds `teacher` and `student`.
            taught: The teacher's outputs, a dict with `"logits"` and its
                representations, in inference mode.
            learned: The student's outputs, likewise.
            training: Whether the student is in training mode.

        Returns:
            Name of each term to one number per example, shape `(batch,)`,
            already weighted: the distillation loss is their sum.
        """
        return {}
