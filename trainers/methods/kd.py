"""Knowledge distillation: imitate the teacher's softened classes."""

import dataclasses
from typing import ClassVar, Literal

from trainers.methods.supervised import Supervised


@dataclasses.dataclass(frozen=True, kw_only=True)
class KD(Supervised):
    """Adds `kd_weight` times a loss between the logits to the task's loss.

    With several teachers, their losses are added, each times its teacher's weight.
    At any temperature that equals imitating the weighted mean of their softened
    classes, up to a constant.

    Attributes:
        kd_weight: Multiplies the distillation loss; independent of the stage's
            `task_weight`, which is 0.1 here where a stage does not say.
        match: `softened`: the classes, by `response.kd_loss`; or `logits`, by
            `response.logit_loss`, which is their squared distance.
        temperature: Divides both logits where classes are matched; positive, no
            unit.
        logit_standardization: Whether both logits first get mean 0 and standard
            deviation 1 over the classes of each example, so that the student need
            not match the teacher's confidence. Then `kd_weight` is about ten times
            what it is without (the source: 9, at temperature 2).

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Hinton et al., "Distilling the Knowledge in a Neural Network", 2015,
        section 2. https://arxiv.org/abs/1503.02531
        Sun et al., "Logit Standardization in Knowledge Distillation", CVPR 2024,
        section 3. https://arxiv.org/abs/2403.01427
    """

    only_with: ClassVar[dict[str, str]] = {
        "match": "kd_weight",
        "temperature": "kd_weight and match: softened",
        "logit_standardization": "kd_weight",
    }
    task_weight: ClassVar[float] = 0.1
    needs_teacher: ClassVar[bool] = True
    imitates_several: ClassVar[bool] = True

    kd_weight: float = 0.9
    match: Literal["softened", "logits"] = "softened"
    temperature: float = 4.0
    logit_standardization: bool = False

    @property
    def softens_at(self):
        """The temperature, if the loss depends on the softened classes alone."""
        plain = self.match == "softened" and not self.logit_standardization
        return self.temperature if plain else None

    def terms(self, trainer, step):
        """One term, `kd_loss`."""
        from keras import ops

        learned = step.learned["logits"]
        loss = self._loss(step.taught["logits"], learned)
        if "co_logits" in step.taught:
            # Co-teachers stand in axis 1, and the student's logits are compared with
            # those of each: (batch, co-teachers, classes).
            each = self._loss(step.taught["co_logits"], learned[:, None])
            loss += ops.sum(step.taught["co_weights"] * each, axis=-1)
        return {"kd_loss": self.kd_weight * loss}

    def _loss(self, *pair):
        """Loss of teacher's and student's logits `(..., classes)`, shape `(...,)`."""
        from trainers.losses import response

        if self.logit_standardization:
            pair = tuple(response.standardized(logits) for logits in pair)
        if self.match == "logits":
            return response.logit_loss(*pair)
        return response.kd_loss(*pair, self.temperature)
