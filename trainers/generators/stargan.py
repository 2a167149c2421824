"""Options of a StarGAN: an image-to-image generator and its discriminator."""

import dataclasses
from typing import ClassVar, Literal

from trainers.generators.acgan import ACGAN


@dataclasses.dataclass(frozen=True, kw_only=True)
class StarGAN(ACGAN):
    """StarGAN; trained by `trainers.generators.translator`.

    The generator turns images into images of another class, and its outputs back into
    the original images. The rates fall linearly to 0 in the second half.

    Attributes:
        gradient_penalty: Weight of Wasserstein's penalty on gradients that are not
            of length 1, between real images and made ones.
        reconstruction_weight: Multiplies the mean absolute difference between an
            image and its reconstruction, on a scale of pixels in [-1, 1].
        discriminator_steps: Its updates for each update of the generator, whose
            gradient is then the mean over as many batches.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Choi et al., "StarGAN: Unified Generative Adversarial Networks for
        Multi-Domain Image-to-Image Translation", CVPR 2018, sections 3.1, 3.3 and
        4.3: the defaults. https://arxiv.org/abs/1711.09020
    """

    classifies_made: ClassVar[bool] = False

    loss: Literal["non_saturating", "hinge", "least_squares", "wasserstein"] = (
        "wasserstein"
    )
    generator_learning_rate: float = 1e-4
    discriminator_learning_rate: float = 1e-4
    average: float = 0.0
    gradient_penalty: float = 10.0
    reconstruction_weight: float = 10.0
    discriminator_steps: int = 5

    def __post_init__(self):
        """Refuses values out of range."""
        super().__post_init__()
        for name in ("gradient_penalty", "reconstruction_weight"):
            self._check(getattr(self, name) >= 0, name, "at least 0")
        self._check(self.discriminator_steps >= 1, "discriminator_steps", "at least 1")

    @property
    def bounded(self):
        """Whether anything bounds the scores."""
        return super().bounded or self.gradient_penalty > 0
