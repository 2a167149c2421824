"""The approximate sizes of files, before they are made."""

import math

from distill.measure.cost import Cost


def metadata_bytes(cost: Cost, each: int = 0) -> int:
    """The approximate size in bytes of everything in a file but the weights.

    Fitted to files of many kinds of networks; names of tensors are most of it.

    Args:
        cost: The cost of the student.
        each: More bytes for each kernel.
    """
    return 3_500 + 300 * cost.ops + each * cost.layers


def packed_bytes(cost: Cost, density: float, bits: float, channel: float) -> int:
    """The approximate size of a packed file in bytes, from its weights' entropy.

    Args:
        cost: The cost of the student.
        density: The share of weights that are not zero.
        bits: Bits that each of these takes.
        channel: Bytes of a channel beside its weights.
    """
    shares = [share for share in (density, 1 - density) if share]
    positions = -sum(share * math.log2(share) for share in shares)
    weights = cost.kernels * (positions + density * bits) + cost.tables * bits
    # Fitted to the files of a small ResNet.
    return round(weights / 8 + channel * cost.channels + 180 * cost.layers + 1500)
