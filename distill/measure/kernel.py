"""One kernel of a TFLite file -> what can be promised of it."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel as a file stores it.

    Attributes:
        layer: Name of its layer, without TF-MOT's `quant_`; empty where the file
            does not tell.
        shape: `(out, ..., in)`.
        bits: Of one stored entry.
        zeros: Exact zeros.
        distinct: Different values, zero too.
        channel_distinct: Different values in one output channel, at most. Where
            each channel has a scale of its own, as in integer files, the whole
            kernel has more than any channel.
        two_of_four: Whether of any four successive entries along the inputs, the
            first of them a multiple of four, two are zero or more.
    """

    layer: str
    shape: tuple[int, ...]
    bits: int
    zeros: int
    distinct: int
    channel_distinct: int
    two_of_four: bool

    @property
    def size(self) -> int:
        """Entries, zeros too."""
        return int(np.prod(self.shape))


def describe(name: str, values: np.ndarray, bits: int) -> Kernel:
    """What there is to say of a kernel.

    Args:
        name: Of the tensor, such as `resnet/stem_conv/Conv2D`.
        values: The entries, dense, `(out, ..., in)`.
        bits: Of one stored entry.
    """
    return Kernel(
        layer=_layer(name),
        shape=values.shape,
        bits=bits,
        zeros=int(values.size - np.count_nonzero(values)),
        distinct=len(np.unique(values)),
        channel_distinct=max(len(np.unique(channel)) for channel in values),
        two_of_four=_two_of_four(values),
    )


def unpack(stored: np.ndarray) -> np.ndarray:
    """Signed numbers of four bits, of which a byte holds two, the lower first."""
    halves = np.stack([stored & 15, stored >> 4], axis=-1).ravel()
    return (halves.astype(np.int8) ^ 8) - 8


def to_dense(values: np.ndarray, sparsity, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor that is stored sparse, with its zeros.

    Args:
        values: What is stored.
        sparsity: The tensor's `SparsityParameters`.
        shape: Of the tensor.

    Returns:
        An array of `shape`.

    Source:
        The TFLite schema: `DimensionMetadata`, a level of the tree each.
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
    places = np.zeros(1, int)
    for axis in order:
        level = levels[axis]
        if level.arraySegments is None:
            inner, count = np.tile(np.arange(sizes[axis]), len(places)), sizes[axis]
        else:
            count = np.diff(np.asarray(level.arraySegments.values, int))
            inner = np.asarray(level.arrayIndices.values, int)
        places = np.repeat(places, count) * sizes[axis] + inner
    whole = np.zeros(int(np.prod(sizes)), values.dtype)
    whole[places] = values
    whole = whole.reshape([sizes[axis] for axis in order]).transpose(np.argsort(order))
    # Each axis, and behind it the place within its block.
    axes = [
        found
        for axis in range(len(shape))
        for found in [
            axis,
            *(len(shape) + i for i, a in enumerate(blocked) if a == axis),
        ]
    ]
    return whole.transpose(axes).reshape(shape)


def _layer(name):
    """A tensor is named for all ops that it is fused with; one of them is its own."""
    for part in name.split(";"):
        *_, layer, op = ["", *part.split("/")]
        if op.startswith(("Conv2D", "MatMul", "convolution")):
            return layer.removeprefix("quant_")
    return ""


def _two_of_four(values):
    missing = -values.shape[-1] % 4
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)])
    return bool((np.count_nonzero(padded.reshape(-1, 4), axis=-1) <= 2).all())
