"""Checks of the promises of pruned files, each a line if it is broken."""

from collections.abc import Callable

from distill.compress.base import shares
from distill.measure import facts as measured

TOLERANCE = 0.005  # Small kernels cannot be cut at exactly the promised share.
_ROUNDING = 1e-9  # Error of sums of costs.


def sparsity_breaches(facts: measured.Facts, promised: float) -> list[str]:
    """Too few zeros in all kernels together."""
    if facts.sparsity >= promised - TOLERANCE:
        return []
    return [f"sparsity {facts.sparsity:.3f} of the file, promised {promised}"]


def budget_breaches(facts: measured.Facts, budget: shares.Budget) -> list[str]:
    """Nonzero weights that cost more than the budget."""
    left = facts.share_left(budget.counts)
    if left <= budget.keep + _ROUNDING:
        return []
    what = budget.price.what
    return [f"{left:.4f} of the {what} left in the file, promised {budget.keep}"]


def mask_breaches(facts: measured.Facts, keep: float) -> list[str]:
    """More pixels of an image that reach the network than promised."""
    if facts.input_seen <= keep + _ROUNDING:
        return []
    return [f"{facts.input_seen:.4f} of the input counts in the file, promised {keep}"]


def share_breaches(
    facts: measured.Facts, share: Callable[[str], float], least: float
) -> list[str]:
    """Too few zeros in some kernel.

    Args:
        facts: The contents of the file.
        share: A function from the name of a layer to its promised share.
        least: The smallest of all promised shares.
    """
    lost = []
    for kernel in facts.kernels:
        # A sparse file has lost the name of its last layer, which may be under
        # any rule: the smallest promise is checked. One zero is for rounding.
        promised = share(kernel.layer) if kernel.layer else least
        if kernel.zeros + 1 < (promised - TOLERANCE) * kernel.size:
            found = kernel.zeros / kernel.size
            lost.append(f"`{kernel.layer}`: {found:.3f}, promised {promised}")
    return [f"sparsity of {'; '.join(lost)}"] if lost else []


def pattern_breaches(facts: measured.Facts, share: Callable[[str], float]) -> list[str]:
    """Four successive input channels with fewer than two zeros, where fours fit."""
    promised = [
        kernel
        for kernel in facts.kernels
        if kernel.shape[-1] % 4 == 0 and share(kernel.layer)
    ]
    lost = [kernel.layer for kernel in promised if not kernel.two_of_four]
    if promised and not lost:
        return []
    what = ", ".join(f"`{layer}`" for layer in lost) or "every kernel"
    return [f"no two zeros of every four weights in {what}"]
