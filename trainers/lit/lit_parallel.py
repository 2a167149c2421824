"""Parallel LIT: the sections learn from one pass of the teacher, and no pass beside."""

import dataclasses
from typing import ClassVar

from trainers.lit.lit import LIT


@dataclasses.dataclass(frozen=True, kw_only=True)
class LITParallel(LIT):
    """LIT without the student's own pass: about half of the student's work in a step.

    The sections do not wait for each other. There are no logits in a training step,
    so neither a loss nor a metric on them; validation runs the student whole, as
    ever. BatchNormalization's statistics move by each section's pass on the
    teacher's representations, and are measured anew when the stage ends. What is no
    section that LIT can train stands still, copied or not: a later stage teaches it.

    Attributes:
        kd_weight: 0; see above.
        thaw: To be left out: nothing here would move what was copied.

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

    def starts(self, teacher, student):
        """None: there is no pass of the student's own."""
        return []

    def prepare(self, teacher, student):
        """As LIT; what it leaves to the student's own pass stands still here."""
        super().prepare(teacher, student)
        trained = {
            name for span in self.spans(teacher, student) for name in span.sections
        }
        for layer in student.layers:
            if layer.name not in trained:
                layer.trainable = False

    def terms(self, trainer, step):
        """One term for each section."""
        return self.section_terms(trainer, step, self.made(trainer, step))

    def passed(self, section, given, training):
        """What a section makes of what it is given: its only pass."""
        return section(given, training=training)
