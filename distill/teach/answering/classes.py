"""The classes of a teacher and those of the data, matched by name."""

import dataclasses

import numpy as np

from distill.runtime import errors


@dataclasses.dataclass(frozen=True)
class Classes:
    """Which of a teacher's logits belong to the data's classes.

    Attributes:
        where: The teacher's key and file, for messages.
        theirs: Names of the teacher's classes, in the order of its logits; None if
            they are the data's.
        ours: Names of the data's classes, each of them among `theirs`.
    """

    where: str
    theirs: tuple[str, ...] | None
    ours: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of the teacher's classes."""
        return len(self.ours if self.theirs is None else self.theirs)

    def select(self, logits: np.ndarray) -> np.ndarray:
        """The logits of the data's classes, in their order.

        Args:
            logits: As the teacher gave them, `(n, count)`.

        Raises:
            ConfigError: If there are others.
        """
        if logits.ndim != 2 or logits.shape[1] != self.count:
            reason = (
                "of the data: if the teacher has more, give `teacher.class_names`"
                if self.theirs is None
                else "in `teacher.class_names`"
            )
            raise errors.ConfigError(
                f"{self.where} must give {self.count} logits, one for each class "
                f"{reason}. Received: shape {logits.shape[1:]}"
            )
        if self.theirs is None:
            return logits
        return logits[:, [self.theirs.index(name) for name in self.ours]]
