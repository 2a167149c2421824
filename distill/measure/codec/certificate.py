"""A bound on the error of a file on new examples, from the length of its description.

It holds for examples drawn like the training examples, independently of each other. The
labels must be true labels: a bound from a teacher's answers would be one on agreement.

Source:
    Zhou et al., "Non-Vacuous Generalization Bounds at the ImageNet Scale: a
    PAC-Bayesian Compression Approach", ICLR 2019, section 4, without noise and
    symmetries; Catoni, "PAC-Bayesian Supervised Classification", 2007.
"""

import dataclasses
import math

import numpy as np

RISK = 0.05  # Probability that the bound does not hold.
_STEP = (
    1e-4  # Neighbouring temperatures, over which the bound holds at once, differ so.
)
_HIGHEST = 3.0  # Larger temperatures, in units of log(examples), never help.


@dataclasses.dataclass(frozen=True)
class Certificate:
    """What the bound is computed from.

    Attributes:
        error: Share of the training examples that the file classifies wrongly.
        examples: Number of training examples.
        bits: Length of the description of the file, and of the choices made by looking
            at the training examples.
        guessing: Error of always answering the most frequent class, in [0, 1]. A bound
            of this size or more is vacuous.
    """

    error: float
    examples: int
    bits: float
    guessing: float

    @property
    def bound(self) -> float:
        """The error on new examples is below this, in [0, 1]; see `bound`."""
        return bound(self.error, self.bits, self.examples)

    @property
    def vacuous(self) -> bool:
        """Whether the bound says no more than guessing does."""
        return self.bound >= self.guessing

    @property
    def allowed_bytes(self) -> int:
        """Largest description for which the bound would not be vacuous; 0 if none."""
        bits = allowed_bits(self.error, self.examples, self.guessing)
        return max(0, math.ceil(bits / 8) - 1)


def bound(error: float, bits: float, examples: int) -> float:
    """The error on new examples, which is exceeded with a probability of `RISK`.

    Args:
        error: Share of the training examples that are classified wrongly.
        bits: Length of the description in bits, by a prefix-free code that was fixed
            before the training examples were seen.
        examples: Number of training examples.

    Returns:
        The bound, in [0, 1].
    """
    log_temperature, temperature = _temperatures(examples)
    complexity = bits * math.log(2) + _penalty(log_temperature)
    least = error + (1 + _STEP) * complexity / (examples * temperature)
    bounds = np.expm1(-temperature * least) / np.expm1(-temperature)
    return min(1.0, float(bounds.min()))


def allowed_bits(error: float, examples: int, target: float) -> float:
    """The length of the description at which the bound reaches a target.

    Args:
        error: As for `bound`.
        examples: As for `bound`.
        target: The bound, in (0, 1).

    Returns:
        The length in bits; negative if no description is short enough.
    """
    log_temperature, temperature = _temperatures(examples)
    most = -np.log1p(target * np.expm1(-temperature)) / temperature
    complexity = (most - error) * examples * temperature / (1 + _STEP)
    bits = (complexity - _penalty(log_temperature)) / math.log(2)
    return float(bits.max())


def _temperatures(examples):
    """Logarithms to try, and the temperatures by which losses are multiplied."""
    log = np.linspace(0, math.log(examples) + _HIGHEST, 4096)
    return log, np.exp(log) / examples


def _penalty(log_temperature):
    """What the probability of failure costs, divided among the temperatures."""
    tries = 2 + log_temperature / math.log1p(_STEP)
    return 2 * np.log(tries) - math.log(RISK)
