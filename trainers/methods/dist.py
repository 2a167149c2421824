"""DIST: correlate with a strong teacher instead of matching its probabilities."""

import dataclasses
from typing import ClassVar

from trainers.methods.supervised import Supervised


@dataclasses.dataclass(frozen=True, kw_only=True)
class DIST(Supervised):
    """1 - Pearson's correlation, over the classes and over the examples.

    Attributes:
        inter_class_weight: Multiplies `relation.inter_class_loss`.
        intra_class_weight: Multiplies `relation.intra_class_loss`.
        temperature: Divides both logits; positive, no unit. Both losses are
            multiplied by its square, as in the authors' code.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Huang et al., "Knowledge Distillation from A Stronger Teacher", NeurIPS
        2022, section 3. https://arxiv.org/abs/2205.10536
    """

    only_with: ClassVar[dict[str, str]] = {
        "temperature": "inter_class_weight or intra_class_weight"
    }
    needs_teacher: ClassVar[bool] = True
    relates_examples: ClassVar[bool] = True

    inter_class_weight: float = 1.0
    intra_class_weight: float = 1.0
    temperature: float = 4.0

    def terms(self, trainer, step):
        """Two terms, `inter_class_loss` and `intra_class_loss`."""
        from keras import ops

        from trainers.losses import relation

        # Correlations are of probabilities, as in the source, not of logits.
        pair = [
            ops.softmax(outputs["logits"] / self.temperature)
            for outputs in (step.taught, step.learned)
        ]
        scale = self.temperature**2
        inter, intra = (
            scale * loss(*pair)
            for loss in (relation.inter_class_loss, relation.intra_class_loss)
        )
        return {
            "inter_class_loss": self.inter_class_weight * inter,
            "intra_class_loss": self.intra_class_weight * intra,
        }
