"""Parallel LIT: sections learn from the teacher's pass, without the student's own."""

import dataclasses
from typing import ClassVar

from trainers.lit.lit import LIT


@dataclasses.dataclass(frozen=True, kw_only=True)
class LITParallel(LIT):
    """LIT without the student's own pass: half of the student's work in a step.

    The sections do not depend on each other. A training step has no logits, so it has
    neither a loss nor a metric on them; validation runs the whole student as usual.
    BatchNormalization's statistics move by each section's pass on the teacher's
    representations, and are measured again when the stage ends. Layers outside the
    sections that LIT can train stay as they are, copied or not: a later stage trains
    them.

    Attributes:
        kd_weight: Must be 0, since there are no logits.
        thaw: Must be left out: nothing here would train the copied layers.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        See `LIT`, whose authors' code for text puts the sections on different GPUs.
        Each block alone, on its teacher's input: Li et al., "Block-wisely Supervised
        Neural Architecture Search with Knowledge Distillation", CVPR 2020.
        https://arxiv.org/abs/1911.13053
    """

    task_weight: ClassVar[float] = 0.0
    end_to_end: ClassVar[bool] = False
    imitates_several: ClassVar[bool] = False

    kd_weight: float = 0.0

    def __post_init__(self):
        """Refuses options without effect."""
        super().__post_init__()
        if self.kd_weight:
            raise ValueError(
                "`kd_weight` must be 0: a step has no logits of the student. "
                f"Received: {self.kd_weight}"
            )
        if self.thaw:
            raise ValueError(
                "`thaw` must be false: stem and head are not run. Received: True"
            )

    def entries(self, teacher, student):
        """No entries: they need the student's own pass."""
        return []

    def prepare(self, teacher, student):
        """Copies as LIT does, and freezes every layer that no span trains."""
        super().prepare(teacher, student)
        trained = {
            name for span in self.spans(teacher, student) for name in span.sections
        }
        for layer in student.layers:
            if layer.name not in trained:
                layer.trainable = False

    def terms(self, trainer, step):
        """One term for each section."""
        return self.section_terms(trainer, step, self.run_spans(trainer, step))

    def run_section(self, section, inputs, training):
        """The output of one section, in its only pass, which moves its statistics."""
        return section(inputs, training=training)
