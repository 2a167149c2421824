"""Unlabelled examples beside the real ones: whom a teacher may be asked about too.

A source is a frozen dataclass of options whose `maker` returns a function from real
examples to made ones, one for each. What is made has no true label: it gets
`UNLABELLED`, at which the task's loss does not count and everything that is learned
from the teacher does.
"""

import dataclasses
from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np

from distill import data
from distill.data.synthetic import munge

UNLABELLED = -1  # Instead of a class; `trainers.trainer` knows it.

Maker = Callable[[np.ndarray, np.random.Generator], np.ndarray]
# Labels, int32 `(n,)`, and a source of randomness -> one example for each.
Generate = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Synthetic:
    """What all sources share.

    Attributes:
        p_fake: Share of made examples, in [0, 1]; 0 is as if there were none.
        mix: `batch`: a coin is thrown for each batch, which is made or real as a
            whole; `part`: each batch is made in part.
        min_confidence: The teacher's largest probability that a made example must
            reach before augmentation, in [0, 1); the real one stays where none of
            a few does. 0 asks for nothing.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        `batch`: Liu et al., "Teacher-Student Compression with Generative
        Adversarial Networks", 2018, section 3. `min_confidence`: Ding et al.,
        "Distilling and Transferring Knowledge via cGAN-generated Samples", 2023,
        section 3, filters by a teacher too, there by the class that was asked for.
    """

    only_with: ClassVar[dict[str, str]] = {"mix": "p_fake", "min_confidence": "p_fake"}
    needs_generator: ClassVar[bool] = False
    takes: ClassVar[tuple[str, ...]] = ("images",)

    p_fake: float
    mix: Literal["batch", "part"] = "batch"
    min_confidence: float = 0.0

    def __post_init__(self):
        """Refuses shares that are none."""
        if not 0 <= self.p_fake <= 1:
            raise ValueError(f"`p_fake` must be in [0, 1]. Received: {self.p_fake}")
        if not 0 <= self.min_confidence < 1:
            raise ValueError(
                f"`min_confidence` must be in [0, 1). Received: {self.min_confidence}"
            )

    def maker(self, split: data.Split, generate: Generate | None) -> Maker:
        """What makes examples.

        Args:
            split: The real ones, of training alone.
            generate: A trained generator as a function, where the source needs one.

        Returns:
            A function from indices of real examples `(n,)` and a source of
            randomness to one example for each, float32 `(n, ...)`.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gan(Synthetic):
    """Examples by the run's `generator`, of the classes of those they stand for."""

    needs_generator: ClassVar[bool] = True

    def maker(self, split, generate):
        """Fresh noise for each; the classes have the shares of the data."""
        return lambda chosen, rng: generate(split.labels[chosen].astype(np.int32), rng)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Munge(Synthetic):
    """Pixels traded with the nearest neighbour; see `distill.data.synthetic.munge`.

    Attributes:
        swap_probability: p, for each pixel.
        variance: s; a larger one means less noise.

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
        """One visit of MUNGE to each example; the neighbour stays as it is."""
        flat = split.floats().reshape(len(split.labels), -1)
        nearest = munge.neighbours(flat)

        def make(chosen, rng):
            examples = flat[chosen]
            swaps = rng.random(examples.shape) < self.swap_probability
            noise = rng.standard_normal(examples.shape, dtype=np.float32)
            others = flat[nearest[chosen]]
            made = munge.mix(examples, others, swaps, noise, self.variance)
            return np.clip(made, 0, 1).reshape(-1, *split.inputs.shape[1:])

        return make


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixup(Synthetic):
    """Weighted means of two examples each.

    Attributes:
        concentration: Both parameters of the Beta distribution that the weight is
            drawn from; positive. 1 is uniform.

    Source:
        Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018,
        section 2; here the teacher says what the mixture is.
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
        """Each with another of the whole split."""

        def make(chosen, rng):
            others = rng.integers(0, len(split.labels), len(chosen))
            shares = rng.beta(self.concentration, self.concentration, len(chosen))
            first, second = (
                data.floats(split.inputs[index]) for index in (chosen, others)
            )
            shares = shares.astype(np.float32).reshape(-1, *[1] * (first.ndim - 1))
            return shares * first + (1 - shares) * second

        return make


SOURCES = {
    "gan": Gan,
    "munge": Munge,
    "mixup": Mixup,
}
