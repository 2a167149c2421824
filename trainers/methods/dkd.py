"""Decoupled distillation: separate weights for the true class and all others."""

import dataclasses
from typing import ClassVar

from trainers.methods.supervised import Supervised


@dataclasses.dataclass(frozen=True, kw_only=True)
class DKD(Supervised):
    """Splits the loss of `kd` into the true class's part and the others' part.

    In `kd` the others' part is multiplied by the probability that the teacher gives
    them, which is small where the teacher is confident. The source warms both weights
    up over its first epochs; here an earlier stage, with `kd` or smaller weights, does
    that.

    Attributes:
        target_weight: Multiplies the first of `response.decoupled_losses`.
        non_target_weight: Multiplies the second; in the source from 0.5 to 8, more
            for more confident teachers.
        temperature: Divides both logits; positive, no unit.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Zhao et al., "Decoupled Knowledge Distillation", CVPR 2022, section 3.
        https://arxiv.org/abs/2203.08679
    """

    only_with: ClassVar[dict[str, str]] = {
        "temperature": "target_weight or non_target_weight"
    }
    needs_teacher: ClassVar[bool] = True

    target_weight: float = 1.0
    non_target_weight: float = 2.0
    temperature: float = 4.0

    def terms(self, trainer, step):
        """Two terms, `target_loss` and `non_target_loss`."""
        from trainers.losses import response

        pair = step.taught["logits"], step.learned["logits"]
        target, others = response.decoupled_losses(*pair, step.labels, self.temperature)
        return {
            "target_loss": self.target_weight * target,
            "non_target_loss": self.non_target_weight * others,
        }
