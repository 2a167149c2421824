"""Attention transfer: the student looks where the teacher looks."""

import dataclasses
from typing import ClassVar

from trainers.methods.representations import FromRepresentations


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttentionTransfer(FromRepresentations):
    """Adds `response.attention_loss` of each compared representation.

    Attributes:
        attention_weight: Multiplies the loss of each representation. The authors'
            `beta` of 1000 is `500 / positions` here: 0.5 at 32x32, 8 at 8x8.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Zagoruyko and Komodakis, "Paying More Attention to Attention", ICLR 2017,
        section 3.1. https://arxiv.org/abs/1612.03928
    """

    only_with: ClassVar[dict[str, str]] = {"representations": "attention_weight"}
    compares_positions: ClassVar[bool] = True

    attention_weight: float = 2.0

    def compare(self, name, trainer, step):
        """One term, `attention_loss`."""
        from trainers.losses import response

        loss = response.attention_loss(step.taught[name], step.learned[name])
        return {"attention_loss": self.attention_weight * loss}
