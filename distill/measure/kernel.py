"""The properties of one kernel of a TFLite file on which promises are checked."""

import dataclasses
import functools
from typing import Any

import numpy as np

from distill.measure import codec


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel as a file stores it.

    Attributes:
        layer: Name of its layer, without TF-MOT's `quant_`; empty if the file does not
            contain it.
        shape: `(out, ..., in)`.
        bits: Bits of one stored entry.
        zeros: Number of exact zeros.
        distinct: Number of different values, including zero.
        channel_distinct: Largest number of different values in one output channel. If
            each channel has its own scale, as in integer files, the whole kernel has
            more than any channel.
        two_of_four: Whether at least two entries are zero in each group of four
            successive ones along the inputs; groups start at multiples of four.
        entropy: Bits of all entries together, if each takes as many as the frequency
            of its value requires: no packing by frequencies needs fewer.
        stored: The arrays that hold it in the file; see `stored_arrays`.
    """

    layer: str
    shape: tuple[int, ...]
    bits: int
    zeros: int
    distinct: int
    channel_distinct: int
    two_of_four: bool
    entropy: float = 0.0
    stored: tuple[tuple[bytes, int], ...] = dataclasses.field(default=(), repr=False)

    @property
    def size(self) -> int:
        """Number of entries, including zeros."""
        return int(np.prod(self.shape))

    @functools.cached_property
    def packed_bits(self) -> float:
        """Bits of the kernel in a container, at most, with the indices of a sparse one.

        Coded when it is asked for, since that takes longer than all the rest.
        """
        return 8 * sum(codec.size(*array) for array in self.stored)


def describe(
    name: str,
    values: np.ndarray,
    bits: int,
    stored: tuple[tuple[bytes, int], ...] = (),
) -> Kernel:
    """Describes a kernel.

    Args:
        name: Name of the tensor, such as `resnet/stem_conv/Conv2D`.
        values: The entries, dense, `(out, ..., in)`.
        bits: Bits of one stored entry.
        stored: As in the result.
    """
    unique, counts = np.unique(values, return_counts=True)
    return Kernel(
        layer=_layer(name),
        shape=values.shape,
        bits=bits,
        zeros=int(values.size - np.count_nonzero(values)),
        distinct=len(unique),
        channel_distinct=max(len(np.unique(channel)) for channel in values),
        two_of_four=_two_of_four(values),
        entropy=float(counts @ np.log2(values.size / counts)),
        stored=stored,
    )


def unpack(stored: np.ndarray) -> np.ndarray:
    """Unpacks signed integers of four bits, two in each byte, the lower half first."""
    halves = np.stack([stored & 15, stored >> 4], axis=-1).ravel()
    return (halves.astype(np.int8) ^ 8) - 8  # Extends the sign of four bits.


def to_dense(values: np.ndarray, sparsity, shape: tuple[int, ...]) -> np.ndarray:
    """Converts a tensor that is stored sparse to a dense one.

    Args:
        values: The stored entries.
        sparsity: The tensor's `SparsityParameters`.
        shape: Shape of the tensor.

    Returns:
        An array of `shape`.

    Source:
        The TFLite schema: `DimensionMetadata`, one for each level of the tree.
    """
    order = [int(axis) for axis in sparsity.traversalOrder]
    blocked = [] if sparsity.blockMap is None else [int(a) for a in sparsity.blockMap]
    levels = dict(zip(order, sparsity.dimMetadata, strict=True))
    blocks = [
        int(levels[len(shape) + index].denseSize) for index in range(len(blocked))
    ]
    sizes = [*shape, *blocks]
    for axis, size in zip(blocked, blocks, strict=True):
        sizes[axis] //= size
    # From the root: the flat index of every stored node of each level. A level without
    # segments is dense and has all children; another names its own, as in CSR.
    places = np.zeros(1, int)
    for axis in order:
        level = levels[axis]
        if level.arraySegments is None:
            inner, count = np.tile(np.arange(sizes[axis]), len(places)), sizes[axis]
        else:
            count = np.diff(np.asarray(level.arraySegments.values, int))
            inner = np.asarray(level.arrayIndices.values, int)
        places = np.repeat(places, count) * sizes[axis] + inner
    dense = np.zeros(int(np.prod(sizes)), values.dtype)
    dense[places] = values
    dense = dense.reshape([sizes[axis] for axis in order]).transpose(np.argsort(order))
    # Each axis, and behind it the axis within its blocks.
    axes = [
        inner
        for axis in range(len(shape))
        for inner in [
            axis,
            *(len(shape) + i for i, a in enumerate(blocked) if a == axis),
        ]
    ]
    return dense.transpose(axes).reshape(shape)


def stored_arrays(
    content: bytes, bits: int, sparsity: Any
) -> tuple[tuple[bytes, int], ...]:
    """The arrays that hold a constant in a file: entries, and indices of a sparse one.

    Args:
        content: The bytes of its entries.
        bits: Bits of one stored entry.
        sparsity: The tensor's `SparsityParameters`; None if it is stored dense.

    Returns:
        The bytes of each array, and its width; see `codec.size`.
    """
    arrays = [(content, bits // 8)]  # Of four bits: `spans.NIBBLES`.
    for level in [] if sparsity is None else sparsity.dimMetadata:
        for indices in (level.arraySegments, level.arrayIndices):
            if indices is not None:
                numbers = np.asarray(indices.values)
                arrays.append((numbers.tobytes(), numbers.itemsize))
    return tuple(arrays)


def _layer(name):
    """The layer in a tensor's name; empty if there is none.

    The converter joins the names of fused ops with `;`, of which one is the kernel's.
    """
    for part in name.split(";"):
        *_, layer, op = ["", *part.split("/")]
        if op.startswith(("Conv2D", "MatMul", "convolution")):
            return layer.removeprefix("quant_")
    return ""


def _two_of_four(values):
    # An incomplete last group counts as filled up with zeros.
    missing = -values.shape[-1] % 4
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)])
    return bool((np.count_nonzero(padded.reshape(-1, 4), axis=-1) <= 2).all())
