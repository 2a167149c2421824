"""Kernels of which few weights stay, and the errors that this promises.

A neuron is looked at as the paper does: the sum over its positive weights and that over
its negative ones, each relative to itself. Inputs of both signs have sums of their own.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

DELTA = 0.05  # Probability at which the error of one sum may exceed the promised one.
_TINY = np.finfo(float).tiny


class Kept(NamedTuple):
    """A kernel of which few weights stay.

    Attributes:
        kernel: `(in, out)`, with zeros.
        promised: The largest relative error of the sums over positive and over negative
            weights, `(2, out)`; with probability `1 - DELTA` if weights were drawn.
        draws: Number of draws for each of these sums, `(2, out)`; None without draws.
    """

    kernel: np.ndarray
    promised: np.ndarray
    draws: np.ndarray | None


def by_sign(kernel: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The values of positive and of negative weights, else 0: `(2, in, out)`."""
    return np.stack([values * (kernel > 0), values * (kernel < 0)])


def draw(
    kernel: np.ndarray,
    shares: np.ndarray,
    rates: np.ndarray,
    count: int,
    rng: np.random.Generator,
) -> Kept:
    """Draws weights with replacement; `w / (m q)` for each draw keeps sums on average.

    Args:
        kernel: `(in, out)`.
        shares: `scores.sensitivities` of it.
        rates: Odds of each weight, in its shape: its probability `q` is its part of
            their sum over the weights of its sign in its neuron.
        count: Weights that stay of a neuron, on average.
        rng: The source of the draws.

    Source:
        Baykal et al., "Data-Dependent Coresets for Compressing Neural Networks with
        Applications to Generalization Bounds", ICLR 2019, for `rates` of `shares`.
        The promise is Bernstein's inequality: on examples by which the shares were
        measured, no draw adds more than `max(share / q) / m` of the sum.
    """
    rates = by_sign(kernel, rates)
    draws = count_draws(rates, count)
    odds = rates / np.maximum(rates.sum(1, keepdims=True), _TINY)
    drawn = rng.multinomial(draws, odds.transpose(0, 2, 1)).transpose(0, 2, 1)
    expected = draws[:, None] * odds
    factors = np.divide(drawn, expected, out=np.zeros(odds.shape), where=odds > 0)
    largest = np.divide(shares, odds, out=np.zeros(odds.shape), where=odds > 0).max(1)
    part = np.log(2 / DELTA) * largest / np.maximum(draws, 1)
    promised = part / 3 + np.sqrt(part**2 / 9 + 2 * part)
    return Kept(kernel * factors.sum(0), promised, draws)


def count_draws(rates: np.ndarray, count: int) -> np.ndarray:
    """Draws after which this many weights of a neuron were drawn, on average.

    They are divided between its signs in proportion to the sums of the rates. Where
    no more weights than `count` have a rate, there are so many that all stay as they
    are.

    Args:
        rates: `(2, in, out)`.
        count: Different weights of a neuron.

    Returns:
        `(2, out)`.
    """
    sums = rates.sum(1)
    odds = rates / np.maximum(sums[:, None], _TINY)
    scarce = np.count_nonzero(rates, axis=(0, 1)) <= count
    missed = np.log1p(-np.minimum(odds, 1 - 1e-12))  # Logarithm, for one draw.
    low, high = (np.full(rates.shape[-1], end) for end in (-30.0, 30.0))
    for _ in range(50):
        middle = (low + high) / 2
        found = -np.expm1((np.exp(middle) * sums)[:, None] * missed).sum((0, 1))
        few = scarce | (found < count)
        low, high = np.where(few, middle, low), np.where(few, high, middle)
    draws = np.maximum(np.rint(np.exp(high) * sums), 1)
    return np.where(sums > 0, draws, 0).astype(np.int64)


def keep_largest(
    kernel: np.ndarray, shares: np.ndarray, values: np.ndarray, count: int
) -> Kept:
    """Keeps the weights of each neuron with the largest values, as they are.

    A sum loses at most what the shares of the others add up to.

    Args:
        kernel: `(in, out)`.
        shares: `scores.sensitivities` of it.
        values: What is compared, in the kernel's shape.
        count: Weights that stay of each neuron.
    """
    ranks = (-values).argsort(0, kind="stable").argsort(0, kind="stable")
    lost = by_sign(kernel, shares * (ranks >= count)).sum(1)
    return Kept(kernel * (ranks < count), np.minimum(lost, 1), None)


Way = Callable[[np.ndarray, np.ndarray, int, np.random.Generator], Kept]
# From kernel, shares, count and generator.
DRAWN: dict[str, Way] = {
    "drawn by sensitivity": lambda w, s, n, rng: draw(w, s, s, n, rng),
    "drawn at random": lambda w, s, n, rng: draw(w, s, np.ones(w.shape), n, rng),
}
FIXED: dict[str, Way] = {
    "largest sensitivity": lambda w, s, n, rng: keep_largest(w, s, s, n),
    "largest magnitude": lambda w, s, n, rng: keep_largest(w, s, np.abs(w), n),
}


def relative_errors(
    kernel: np.ndarray, kept: np.ndarray, patches: np.ndarray
) -> np.ma.MaskedArray:
    """Errors of sums over weights of one sign, relative to the sums.

    Args:
        kernel: `(in, out)`.
        kept: The same with zeros.
        patches: Inputs, `(n, in)`.

    Returns:
        For positive and negative weights, inputs above zero and then below, neurons:
        `(2, 2 n, out)`; masked for a sum of zero.
    """
    inputs = np.concatenate([np.maximum(patches, 0), np.maximum(-patches, 0)])
    whole, left = (inputs @ by_sign(one, np.abs(one)) for one in (kernel, kept))
    return np.abs(left - whole) / np.ma.masked_equal(whole, 0)


def paper_error(
    shares: np.ndarray, draws: np.ndarray, neurons: int, widest: int
) -> np.ndarray:
    """The relative error for which the paper asks this number of draws.

    `m = 8 S K log(8 eta / delta) / eps^2`, solved for `eps`, with `K = log(eta eta*)`:
    as a public reimplementation reads the paper's first version (arXiv 1804.05345).

    Args:
        shares: Sensitivities of positive and negative weights, `(2, in, out)`.
        draws: `(2, out)`.
        neurons: Number of all neurons of the network, `eta`.
        widest: Largest number of neurons of a layer, `eta*`.

    Returns:
        `(2, out)`; above 1, it promises nothing.
    """
    factor = 8 * np.log(neurons * widest) * np.log(8 * neurons / DELTA)
    return np.sqrt(factor * shares.sum(1) / np.maximum(draws, 1))
