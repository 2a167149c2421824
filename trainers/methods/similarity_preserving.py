"""Similarity preserving: examples that are alike for the teacher are so for both."""

import dataclasses
from typing import ClassVar

from trainers.methods.representations import FromRepresentations


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimilarityPreserving(FromRepresentations):
    """Adds `relation.similarity_loss` of each compared representation.

    Representations may be of any size and width. The loss shrinks as the batch
    grows, because longer rows of length 1 have smaller entries.

    Attributes:
        similarity_weight: Multiplies the loss of each representation.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Tung and Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019,
        section 3. https://arxiv.org/abs/1907.09682
    """

    only_with: ClassVar[dict[str, str]] = {"representations": "similarity_weight"}
    relates_examples: ClassVar[bool] = True

    similarity_weight: float = 3000.0

    def compare(self, name, trainer, step):
        """One term, `similarity_loss`."""
        from trainers.losses import relation

        loss = relation.similarity_loss(step.taught[name], step.learned[name])
        return {"similarity_loss": self.similarity_weight * loss}
