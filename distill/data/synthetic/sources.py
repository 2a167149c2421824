"""Sources of synthetic examples, which the teacher labels.

A source is a frozen dataclass of options whose `maker` returns a function that makes
one synthetic example for each real one. A synthetic example has no true label: it gets
`data.UNLABELLED`, and counts in the losses that compare with the teacher but not in the
task's loss.
"""

import dataclasses
from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np

from distill import data
from distill.data.synthetic import munge

# Indices of real examples, int64 `(n,)`, and a source of randomness -> one synthetic
# example for each.
Maker = Callable[[np.ndarray, np.random.Generator], np.ndarray]
# Labels, int32 `(n,)`, and a source of randomness -> one example for each.
Generate = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Synthetic:
    """The base of all sources.

    Attributes:
        p_fake: Share of synthetic examples, in [0, 1]; 0 switches them off.
        mix: `batch`: each batch is synthetic as a whole with probability `p_fake`;
            `part`: this share of each batch is synthetic.
        min_confidence: The teacher's largest probability that a synthetic example must
            reach before augmentation, in [0, 1). If none of a few candidates does, the
            real example stays. 0 means no limit.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        `batch`: Liu et al., "Teacher-Student Compression with Generative
        Adversarial Networks", 2018, section 3. `min_confidence`: Ding et al.,
        "Distilling and Transferring Knowledge via cGAN-generated Samples", 2023,
        section 3, also filters by a teacher, there by the requested class.
    """

    only_with: ClassVar[dict[str, str]] = {"mix": "p_fake", "min_confidence": "p_fake"}
    needs_generator: ClassVar[bool] = False
    takes: ClassVar[tuple[str, ...]] = ("images",)

    p_fake: float
    mix: Literal["batch", "part"] = "batch"
    min_confidence: float = 0.0

    def __post_init__(self):
        """Refuses options out of range."""
        if not 0 <= self.p_fake <= 1:
            raise ValueError(f"`p_fake` must be in [0, 1]. Received: {self.p_fake}")
        if not 0 <= self.min_confidence < 1:
            raise ValueError(
                f"`min_confidence` must be in [0, 1). Received: {self.min_confidence}"
            )

    def maker(self, split: data.Split, generate: Generate | None) -> Maker:
        """Creates the function that makes examples.

        Args:
            split: The real training examples.
            generate: A trained generator as a function, if the source needs one.

        Returns:
            A function from indices of real examples `(n,)` and a source of
            randomness to one synthetic example for each, float32 `(n, ...)`.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gan(Synthetic):
    """Examples of the run's `generator`, of the classes of those that they replace."""

    needs_generator: ClassVar[bool] = True

    def maker(self, split, generate):
        """Uses new noise for each example; the classes have the shares of the data."""
        return lambda chosen, rng: generate(split.labels[chosen].astype(np.int32), rng)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Munge(Synthetic):
    """Images with pixels of the nearest neighbour; see `distill.data.synthetic.munge`.

    Attributes:
        swap_probability: Probability of replacing a pixel, p in the source of MUNGE.
        variance: Divisor of the noise's standard deviation, s in that source; a larger
            one means less noise.

    Source:
        Its options as in the code of Liu et al., 2018, for tables.
    """

    only_with: ClassVar[dict[str, str]] = {
        "swap_probability": "p_fake",
        "variance": "p_fake",
    }

    swap_probability: float = 0.1
    variance: float = 1.5

    def __post_init__(self):
        """Refuses options out of range."""
        super().__post_init__()
        munge.check(self.swap_probability, self.variance)

    def maker(self, split, generate):
        """Applies one step of MUNGE to each example; the neighbour is not changed."""
        flat = split.floats().reshape(len(split.labels), -1)
        nearest = munge.neighbours(flat)

        def make(chosen, rng):
            examples = flat[chosen]
            swaps = rng.random(examples.shape) < self.swap_probability
            noise = rng.standard_normal(examples.shape, dtype=np.float32)
            others = flat[nearest[chosen]]
            mixed = munge.mix(examples, others, swaps, noise, self.variance)
            return np.clip(mixed, 0, 1).reshape(-1, *split.inputs.shape[1:])

        return make


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixup(Synthetic):
    """Weighted means of two examples each.

    Attributes:
        concentration: Both parameters of the Beta distribution from which the weight
            is drawn; positive. 1 is uniform.

    Source:
        Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018,
        section 2; there the labels are mixed too, here the teacher labels the mixture.
    """

    only_with: ClassVar[dict[str, str]] = {"concentration": "p_fake"}

    concentration: float = 1.0

    def __post_init__(self):
        """Refuses options out of range."""
        super().__post_init__()
        if self.concentration <= 0:
            raise ValueError(
                f"`concentration` must be positive. Received: {self.concentration}"
            )

    def maker(self, split, generate):
        """Mixes each example with a random one of the whole split."""

        def make(chosen, rng):
            others = rng.integers(0, len(split.labels), len(chosen))
            weights = rng.beta(self.concentration, self.concentration, len(chosen))
            first, second = (
                data.floats(split.inputs[index]) for index in (chosen, others)
            )
            weights = weights.astype(np.float32).reshape(-1, *[1] * (first.ndim - 1))
            return weights * first + (1 - weights) * second

        return make


SOURCES = {
    "gan": Gan,
    "munge": Munge,
    "mixup": Mixup,
}
