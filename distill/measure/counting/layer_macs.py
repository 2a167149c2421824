"""A call of a layer -> its multiply-accumulates; of both Keras, by names of classes.

A multiply-accumulate is one entry of a kernel used at one place, or one product of two
activations within a matrix product. Sums, norms, pooling and activations have none.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from distill.measure.counting import calls, kernels

Shape = Sequence[int | None]


def count(layer: Any, given: Sequence[Shape], made: Shape) -> int | None:
    """Multiply-accumulates of one call.

    Args:
        layer: A built layer of Keras 3 or tf_keras, or an operation of Keras 3.
        given: Shapes of what the call is given, in order, batch first. A size that
            is open counts as 1.
        made: Shape of what it makes, of several the first.

    Returns:
        None where it is not known: of a class of a user's own, of one that runs
        code of any kind, or of an operation without a rule.
    """
    # On JAX every layer has a base of the backend's that is called JaxLayer, as is the
    # layer that runs a function of JAX.
    names = {
        kind.__name__
        for kind in type(layer).__mro__
        if not kind.__module__.startswith("keras.src.backend.")
    }
    if not kernels.is_standard(layer) or names & _UNKNOWN:
        return None
    rule = next((_RULES[name] for name in _RULES if name in names), _nothing)
    return rule(layer, given, made)


def size(shape: Iterable[int | None]) -> int:
    """Numbers in a tensor; open sizes count as 1."""
    return math.prod(one or 1 for one in shape)


def _nothing(layer, given, made):
    return 0


def _entries(layer):
    return sum(kernel.size for kernel in kernels.find([layer]))


def _places(layer, shape):
    """Places of a map, each of which has all channels."""
    first = getattr(layer, "data_format", None) == "channels_first"
    channels = shape[1 if first else -1]
    return size(shape) // (channels or 1)


def _at_outputs(layer, given, made):
    """Each kernel is used once for each place that is made."""
    return _entries(layer) * _places(layer, made)


def _at_inputs(layer, given, made):
    """Each kernel is used once for each place that is given."""
    return _entries(layer) * _places(layer, given[0])


def _einsum(equation, *shapes):
    """The product of all sizes that letters of the two operands stand for."""
    if len(shapes) != 2:
        return 0 if len(shapes) == 1 else None
    sizes = {}
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    for term, shape in zip(terms, shapes, strict=True):
        before, _, after = term.partition("...")
        more = range(len(shape) - len(before) - len(after), 0, -1)
        for axis, length in zip([*before, *more, *after], shape, strict=True):
            sizes[axis] = max(sizes.get(axis, 1), length or 1)
    return size(sizes.values())


def _einsum_dense(layer, given, made):
    return _einsum(layer.equation, given[0], layer.kernel.shape)


def _heads(layer, given, made):
    """Attention with projections: of query, key, value, output, and what is between."""
    query, value = given[:2]
    # What is given third may be a mask: a key is of the size that its kernel takes.
    key = value
    if len(given) > 2 and given[2][-1] == layer._key_dense.kernel.shape[0]:
        key = given[2]
    parts = [
        (layer._query_dense, query),
        (layer._key_dense, key),
        (layer._value_dense, value),
    ]
    asked, stored, answer = (
        (*shape[:-1], *part.kernel.shape[1:]) for part, shape in parts
    )
    parts.append((layer._output_dense, (*asked[:-1], answer[-1])))
    if getattr(layer, "_gate_dense", None) is not None:
        parts.append((layer._gate_dense, query))
    scores = _einsum(layer._dot_product_equation, stored, asked)
    mixed = scores // asked[-1] * answer[-1]
    projected = (_einsum_dense(part, [shape], None) for part, shape in parts)
    return scores + mixed + sum(projected)


def _attention(layer, given, made):
    """Attention without projections; scores by sums are no matrix product."""
    query, value = given[:2]
    pairs = size(query[:-1]) * (value[-2] or 1)
    sums = "Additive" in type(layer).__name__ or layer.score_mode != "dot"
    return pairs * ((0 if sums else query[-1]) + value[-1])


def _dot(layer, given, made):
    axes = layer.axes if isinstance(layer.axes, int) else layer.axes[0]
    return size(made) * (given[0][axes] or 1)


def _matmul(layer, given, made):
    return size(made) * (given[0][-1] or 1)


def _tensordot(layer, given, made):
    """The sizes that go are in both operands, the others in what is made."""
    return math.isqrt(size(given[0]) * size(given[1]) * size(made))


def _conv(layer, given, made):
    return sum(map(size, given[1:])) * _places(layer, made)


def _conv_transpose(layer, given, made):
    return size(given[1]) * _places(layer, given[0])


def _attention_operation(layer, given, made):
    query, key, value = given[:3]
    return size(query[:-1]) * (key[1] or 1) * (query[-1] + value[-1])


def _recurrent(layer, given, made):
    """Every kernel of a cell once a step, at each place that the cell makes."""
    cells = getattr(layer.cell, "cells", [layer.cell])
    if not all(type(cell).__name__ in _CELLS for cell in cells):
        return None
    batch, steps = given[0][:2]
    axes = getattr(layer.cell, "rank", 0)  # Of the map that a convolution makes.
    first = getattr(layer.cell, "data_format", None) == "channels_first"
    places = (made[-axes:] if first else made[-1 - axes : -1]) if axes else ()
    held = list(kernels.find(cells))
    uses = (steps or 1) * sum(kernel.size for kernel in held)
    if layer.unroll and len(given) == 1:  # The file knows that the state begins as 0.
        uses -= sum(kernel.size for kernel in held if kernel.is_recurrent)
    return size([batch, *places]) * uses


def _both_ways(layer, given, made):
    parts = (layer.forward_layer, layer.backward_layer)
    shape = tuple(given[0])
    return _total(
        count(part, given, part.compute_output_shape(shape)) for part in parts
    )


def _each_step(layer, given, made):
    shape = given[0]
    once = count(layer.layer, [(shape[0], *shape[2:])], (made[0], *made[2:]))
    return _total([once], shape[1] or 1)


def _wrapped(layer, given, made):
    return count(layer.layer, given, made)


def _inside(layer, given, made):
    """A model inside a wrapper, at the sizes that it was built for."""
    found = calls.find(layer)
    return _total(count(one.layer, one.given, one.made) for one in found)


def _reversible(layer, given, made):
    """Ids get an axis; the way back, to numbers for each id, is a matrix product."""
    return size(made) * given[0][-1] if len(made) == len(given[0]) else 0


def _total(counts, times=1):
    counts = list(counts)
    return None if None in counts else times * sum(counts)


# What these do is a matter of their options, or no sum of products of a fixed size.
_UNKNOWN = {
    *("Lambda", "JaxLayer", "FlaxLayer", "TFSMLayer", "TorchModuleWrapper"),
    *("MelSpectrogram", "STFTSpectrogram", "GaussianBlur", "SobelEdges", "SSIM"),
    *("Map", "Scan", "AssociativeScan", "VectorizedMap", "JVP", "Switch", "Cond"),
    *("WhileLoop", "ForiLoop", "ElasticTransform", "Correlate", "Corrcoef", "CDist"),
    *("FFT", "FFT2", "IFFT2", "RFFT", "IRFFT", "STFT", "ISTFT", "Cholesky"),
    *("CholeskyInverse", "Det", "Logdet", "Slogdet", "Eig", "Eigh", "Inv", "Pinv"),
    *("LuFactor", "Qr", "Solve", "SolveTriangular", "SVD", "Lstsq", "MatrixRank"),
}
_CELLS = {"LSTMCell", "GRUCell", "SimpleRNNCell", "ConvLSTMCell"}
# Class of a layer, or of one that it is made from, to how it is counted; the first
# of several that fit.
_RULES = {
    **dict.fromkeys(
        ["Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"], _at_inputs
    ),
    **dict.fromkeys(
        [
            f"{kind}Conv{rank}D"
            for kind in ("", "Depthwise", "Separable")
            for rank in (1, 2, 3)
        ],
        _at_outputs,
    ),
    "Dense": _at_outputs,
    "EinsumDense": _einsum_dense,
    "MultiHeadAttention": _heads,
    "GroupedQueryAttention": _heads,
    "Attention": _attention,
    "AdditiveAttention": _attention,
    "Bidirectional": _both_ways,
    "Functional": _inside,
    "Sequential": _inside,
    "RNN": _recurrent,
    "TimeDistributed": _each_step,
    "SpectralNormalization": _wrapped,
    "ReversibleEmbedding": _reversible,
    # Of `Dot`, there is a layer and an operation.
    "Dot": lambda layer, *call: (_dot if hasattr(layer, "axes") else _matmul)(
        layer, *call
    ),
    "Matmul": _matmul,
    "Inner": _matmul,
    "Vdot": lambda layer, given, made: size(given[0]),
    "Tensordot": _tensordot,
    "Einsum": lambda layer, given, made: _einsum(layer.subscripts, *given),
    "Conv": _conv,
    "DepthwiseConv": _conv,
    "SeparableConv": _conv,
    "ConvTranspose": _conv_transpose,
    "DotProductAttention": _attention_operation,
}
