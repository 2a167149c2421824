"""Chooses the weights that stay: the best for their cost, within a budget."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from distill.compress.base import shares

GONE = -np.inf  # Score of a weight that must stay zero.


class Kernel(NamedTuple):
    """The scores and costs of the weights of one kernel.

    Attributes:
        scores: Importance of each weight, in the kernel's shape; `GONE` for those that
            must stay zero.
        cost: Cost of each weight that stays.
        axis: The axis of output channels.
    """

    scores: np.ndarray
    cost: float = 1.0
    axis: int = -1


def keep_share(kernel: Kernel, share: float) -> np.ndarray:
    """The best weights of one kernel: at most this share, and at least one.

    Returns:
        True where a weight stays, in the kernel's shape.
    """
    # A share times a size may lie just below the whole number that is meant.
    count = max(1, int(share * kernel.scores.size + 1e-9))
    return _best(kernel.scores.ravel(), count).reshape(kernel.scores.shape)


def keep_budget(
    kernels: Sequence[Kernel], budget: float, keep: float
) -> list[np.ndarray]:
    """The best weights of all kernels, by score per cost.

    Each kernel first keeps what `shares.least_kept` says. The rest of the budget is
    a knapsack that is filled greedily, which is optimal if all costs are equal.

    Args:
        kernels: All kernels that share the budget.
        budget: Largest total cost of the weights that stay.
        keep: The even share, for `shares.least_kept`.

    Returns:
        True where a weight stays, in each kernel's shape. The total cost exceeds the
        budget only if what every kernel keeps in any case does.

    Source:
        Yang et al., "Energy-Constrained Compression for Deep Neural Networks via
        Weighted Sparse Projection and Layer Input Masking", ICLR 2019, section 3.3.
    """
    floors = [_floor(kernel, keep) for kernel in kernels]
    spent = sum(
        kernel.cost * floor.sum() for kernel, floor in zip(kernels, floors, strict=True)
    )
    scores = np.concatenate([kernel.scores.ravel() for kernel in kernels])
    costs = np.repeat(
        [kernel.cost for kernel in kernels], [k.scores.size for k in kernels]
    )
    first = np.concatenate([floor.ravel() for floor in floors])
    chosen = first | fill(np.where(first, GONE, scores), costs, budget - spent)
    ends = np.cumsum([kernel.scores.size for kernel in kernels])[:-1]
    return [
        stays.reshape(kernel.scores.shape)
        for kernel, stays in zip(kernels, np.split(chosen, ends), strict=True)
    ]


def fill(scores: np.ndarray, costs: np.ndarray, budget: float) -> np.ndarray:
    """Fills a knapsack greedily.

    Args:
        scores: Score of each item, `(n,)`; an item that is `GONE` is never chosen.
        costs: Cost of each item, positive.
        budget: Largest total cost.

    Returns:
        True where an item is chosen.
    """
    chosen = np.zeros(len(scores), bool)
    left = np.argsort(-scores / costs, kind="stable")
    left = left[scores[left] > GONE]
    while True:
        # An item that does not fit is skipped; later, cheaper ones may fit.
        left = left[costs[left] <= budget]
        count = np.searchsorted(np.cumsum(costs[left]), budget, side="right")
        if not count:
            return chosen
        chosen[left[:count]] = True
        budget -= costs[left[:count]].sum()
        left = left[count:]


def _floor(kernel, keep):
    """The best weight of each output channel, and the best of all up to the floor."""
    scores = np.moveaxis(kernel.scores, kernel.axis, -1)
    flat = scores.reshape(-1, scores.shape[-1])
    firsts = np.zeros(flat.shape, bool)
    firsts[flat.argmax(0), np.arange(flat.shape[1])] = True
    least = shares.least_kept(kernel.scores.shape, keep, kernel.axis)
    more = _best(np.where(firsts, GONE, flat).ravel(), least - flat.shape[1])
    stays = (firsts | more.reshape(flat.shape)).reshape(scores.shape)
    return np.moveaxis(stays, -1, kernel.axis)


def _best(scores, count):
    """True at the `count` largest scores, except where they are `GONE`."""
    chosen = np.zeros(len(scores), bool)
    chosen[np.argsort(-scores, kind="stable")[: max(0, count)]] = True
    return chosen & (scores > GONE)
