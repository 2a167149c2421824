"""Relational distillation: distances and angles between the examples of a batch."""

import dataclasses
from typing import ClassVar

from trainers.methods.representations import FromRepresentations, pooled


@dataclasses.dataclass(frozen=True, kw_only=True)
class Relational(FromRepresentations):
    """RKD: `distance_loss` and `angle_loss` of `relations`, on pooled features.

    Representations may be of any size and width. Time and memory of the angles grow
    with the third power of the batch.

    Attributes:
        distance_weight: Multiplies the loss of the distances.
        angle_weight: Multiplies the loss of the angles.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Park et al., "Relational Knowledge Distillation", CVPR 2019, section 3.
        https://arxiv.org/abs/1904.05068
    """

    only_with: ClassVar[dict[str, str]] = {
        "representations": "distance_weight or angle_weight"
    }
    relates_examples: ClassVar[bool] = True
    compares_the_last: ClassVar[bool] = True

    distance_weight: float = 25.0
    angle_weight: float = 50.0

    def compare(self, name, trainer, step):
        """Two terms, `distance_loss` and `angle_loss`."""
        from trainers.losses import relation

        pair = pooled(step.taught[name]), pooled(step.learned[name])
        return {
            "distance_loss": self.distance_weight * relation.distance_loss(*pair),
            "angle_loss": self.angle_weight * relation.angle_loss(*pair),
        }
