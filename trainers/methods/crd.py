"""Contrastive distillation: match embeddings of one example, separate all others."""

import dataclasses
from typing import ClassVar

from trainers.methods.representations import FromRepresentations, linear, pooled


@dataclasses.dataclass(frozen=True, kw_only=True)
class CRD(FromRepresentations):
    """Contrasts linear embeddings of pooled features, the student's and the teacher's.

    Two deviations from the source. Its negatives are a memory bank of 16,384
    embeddings, found by the index of their example; batches have no index here, and
    the negatives are the examples of other classes in the batch. With so few of them,
    InfoNCE replaces the source's estimate of a ratio of densities. As in the source,
    both directions (student to teacher and teacher to student) are added.

    Attributes:
        contrastive_weight: Multiplies the loss of each representation.
        contrast_temperature: Divides the cosines; positive, no unit.
        embedding_size: Dimensions of an embedding.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Tian et al., "Contrastive Representation Distillation", ICLR 2020, section
        3. https://arxiv.org/abs/1910.10699
    """

    only_with: ClassVar[dict[str, str]] = {
        "representations": "contrastive_weight",
        "contrast_temperature": "contrastive_weight",
        "embedding_size": "contrastive_weight",
    }
    relates_examples: ClassVar[bool] = True
    teaches_copies: ClassVar[bool] = True
    compares_the_last: ClassVar[bool] = True

    contrastive_weight: float = 0.8
    contrast_temperature: float = 0.07
    embedding_size: int = 128

    def __post_init__(self):
        """Refuses embeddings without dimensions."""
        super().__post_init__()
        if self.embedding_size < 1:
            raise ValueError(
                f"`embedding_size` must be at least 1. Received: {self.embedding_size}"
            )

    def companions(self, teacher, student):
        """Two linear heads for each representation."""
        heads = {}
        for side, network in (("teacher", teacher), ("student", student)):
            for name in self.select(student.output):
                label = f"{name}_{side}_head"
                size = network.output[name].shape[-1]
                heads[label] = linear(label, (size,), self.embedding_size)
        return heads

    def compare(self, name, trainer, step):
        """One term, `contrastive_loss`."""
        from trainers.losses import relation, response

        taught, learned = (
            response.unit(trainer.companions[f"{name}_{side}_head"](pooled(maps[name])))
            for side, maps in (("teacher", step.taught), ("student", step.learned))
        )
        rest = step.labels, self.contrast_temperature
        loss = relation.contrastive_loss(learned, taught, *rest)
        loss += relation.contrastive_loss(taught, learned, *rest)
        return {"contrastive_loss": self.contrastive_weight * loss}
