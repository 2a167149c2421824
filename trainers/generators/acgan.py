"""Options of an AC-GAN: a class-conditional generator and its discriminator."""

import dataclasses
from typing import ClassVar, Literal

from gan import losses


@dataclasses.dataclass(frozen=True, kw_only=True)
class ACGAN:
    """Auxiliary-classifier GAN; trained by `trainers.generators.generator`.

    Attributes:
        loss: `non_saturating`, `hinge`, `least_squares` or `wasserstein`; see
            `gan.losses`.
        class_weight: Multiplies both sides' classification loss.
        label_smoothing: Subtracted from the target of real examples.
        r1: Weight of the penalty on the score's gradients at real examples.
        generator_learning_rate: Rate of its Adam optimizer.
        discriminator_learning_rate: Rate of its Adam optimizer.
        average: Momentum of the running average of the generator's weights; the
            average is the result of training. 0 means no averaging.
        classifies_made: Whether the discriminator's classification loss counts
            generated examples too.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Odena et al., "Conditional Image Synthesis with Auxiliary Classifier
        GANs", ICML 2017, section 3. R1: Mescheder et al., "Which Training
        Methods for GANs do actually Converge?", ICML 2018, section 4.1.
    """

    only_with: ClassVar[dict[str, str]] = {
        "label_smoothing": "loss: non_saturating|least_squares"
    }
    classifies_made: ClassVar[bool] = True

    loss: Literal["non_saturating", "hinge", "least_squares", "wasserstein"] = (
        "non_saturating"
    )
    class_weight: float = 1.0
    label_smoothing: float = 0.0
    r1: float = 0.0
    generator_learning_rate: float = 2e-4
    discriminator_learning_rate: float = 2e-4
    average: float = 0.99

    def __post_init__(self):
        """Refuses values out of range."""
        for name in ("class_weight", "r1"):
            self._check(getattr(self, name) >= 0, name, "at least 0")
        for name in ("label_smoothing", "average"):
            self._check(0 <= getattr(self, name) < 1, name, "in [0, 1)")
        for name in ("generator_learning_rate", "discriminator_learning_rate"):
            self._check(getattr(self, name) > 0, name, "positive")
        self._check(
            not self.label_smoothing or self.loss in losses.WITH_TARGETS,
            "label_smoothing",
            f"0 with `loss: {self.loss}`, which has no target to smooth",
        )
        self._check(
            self.bounded or self.loss != "wasserstein",
            "r1",
            "positive with `loss: wasserstein`, which nothing else bounds",
        )

    @property
    def bounded(self) -> bool:
        """Whether anything bounds the scores."""
        return self.r1 > 0

    def _check(self, condition, name, rule):
        if not condition:
            raise ValueError(
                f"`{name}` must be {rule}. Received: {getattr(self, name)!r}"
            )
