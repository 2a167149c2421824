"""The approximate length of pruned kernels in a packed file, and shares that keep it.

The file itself has the exact length: see `distill.measure.codec.kernels`.
"""

import math
from collections.abc import Iterable, Sequence

# Bits of a number that is not zero, which compresses little, and of the tables of a
# kernel; fitted to the pruned files of small ResNets.
VALUE, TABLES = 26.5, 320
LARGEST = 0.8  # Kernels without zeros take hardly more of their float32.
_HALVINGS = 40


def bits(size: int, kept: float) -> float:
    """The length of a kernel with zeros in bits.

    Its nonzero weights, and where they are: as many bits as zeros that are spread
    evenly require.

    Args:
        size: Number of weights, including zeros.
        kept: Number of those that are not zero.
    """
    parts = (kept / size, 1 - kept / size)
    positions = -sum(part * math.log2(part) for part in parts if part > 0)
    return kept * VALUE + size * positions + TABLES


def share_left(sizes: Iterable[int], kept: Iterable[float], total: int) -> float:
    """The length of kernels as a share of their float32.

    Args:
        sizes: Sizes of the kernels that are cut.
        kept: Number of nonzero weights of each.
        total: Number of weights of all kernels, also of those that stay whole.
    """
    pairs = list(zip(sizes, kept, strict=True))
    whole = total - sum(size for size, _ in pairs)
    length = whole * VALUE + sum(bits(size, count) for size, count in pairs)
    return length / (32 * total)


def even_share(sizes: Sequence[int], total: int, keep: float) -> float:
    """The share of the weights of each kernel for a length; 0 if there is none.

    As many weights in all, spread otherwise over the kernels, take no more.

    Args:
        sizes: Sizes of the kernels that are cut.
        total: As for `share_left`.
        keep: The length as a share of the kernels' float32.
    """
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        kept = (middle * size for size in sizes)
        if share_left(sizes, kept, total) <= keep:
            low = middle
        else:
            high = middle
    return low
