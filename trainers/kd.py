"""Knowledge distillation: imitate the teacher's softened classes."""

import dataclasses
from typing import ClassVar, Literal

from trainers.supervised import Supervised


@dataclasses.dataclass(frozen=True, kw_only=True)
class KD(Supervised):
    """Adds `kd_weight` times a loss between the logits to the task's loss.

    Attributes:
        kd_weight: Multiplies the distillation loss; independent of the stage's
            `task_weight`.
        match: `softened`: the classes, by `losses.kd_loss`; or `logits`, by
            `losses.logit_loss`, which is their squared distance.
        temperature: Divides both logits where classes are matched; positive, no
            unit.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Hinton et al., "Distilling the Knowledge in a Neural Network", 2015,
        section 2. https://arxiv.org/abs/1503.02531
    """

    needs_teacher: ClassVar[bool] = True

    kd_weight: float = 0.9
    match: Literal["softened", "logits"] = "softened"
    temperature: float = 4.0

    def __post_init__(self):
        """Refuses weights and temperatures without a meaning."""
        if self.kd_weight < 0:
            raise ValueError(
                f"`kd_weight` must be at least 0. Received: {self.kd_weight}"
            )
        if self.temperature <= 0:
            raise ValueError(
                f"`temperature` must be positive. Received: {self.temperature}"
            )

    def terms(self, trainer, step):
        """One term, `kd_loss`."""
        from trainers import losses

        pair = step.taught["logits"], step.learned["logits"]
        if self.match == "logits":
            return {"kd_loss": self.kd_weight * losses.logit_loss(*pair)}
        loss = losses.kd_loss(*pair, self.temperature)
        return {"kd_loss": self.kd_weight * loss}
