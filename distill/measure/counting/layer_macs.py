"""Counts the multiply-accumulates of a call of a layer, of both Keras versions.

A multiply-accumulate is one entry of a kernel used at one position, or one product of
two activations in a matrix product. Sums, norms, pooling and activations have none.
Classes are looked up by name, so that neither Keras version is imported.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from distill.measure.counting import calls, kernels

Shape = Sequence[int | None]


def count(layer: Any, inputs: Sequence[Shape], output: Shape) -> int | None:
    """Multiply-accumulates of one call.

    Args:
        layer: A built layer of Keras 3 or tf_keras, or an operation of Keras 3.
        inputs: Shapes of the call's inputs, in order, batch first. An open size counts
            as 1.
        output: Shape of its output; the first if there are several.

    Returns:
        The number; None if it is unknown: for a custom class, for one that runs any
        code, and for an operation without a rule.
    """
    names = kernels.class_names(layer)
    if not kernels.is_standard(layer) or names & _UNKNOWN:
        return None
    rule = next((_RULES[name] for name in _RULES if name in names), _nothing)
    return rule(layer, inputs, output)


def size(shape: Iterable[int | None]) -> int:
    """Number of entries of a tensor; open sizes count as 1."""
    return math.prod(one or 1 for one in shape)


def _nothing(layer, inputs, output):
    return 0


def _entries(layer):
    return sum(kernel.size for kernel in kernels.find([layer]))


def _positions(layer, shape):
    """Number of positions of a feature map, without channels."""
    first = getattr(layer, "data_format", None) == "channels_first"
    channels = shape[1 if first else -1]
    return size(shape) // (channels or 1)


def _at_outputs(layer, inputs, output):
    """Each kernel is used once for every output position."""
    return _entries(layer) * _positions(layer, output)


def _at_inputs(layer, inputs, output):
    """Each kernel is used once for every input position."""
    return _entries(layer) * _positions(layer, inputs[0])


def _einsum(equation, *shapes):
    """The product of the sizes of all letters of two operands."""
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


def _einsum_dense(layer, inputs, output):
    return _einsum(layer.equation, inputs[0], layer.kernel.shape)


def _multi_head_attention(layer, inputs, output):
    """Attention with projections of query, key, value and output."""
    query, value = inputs[:2]
    # The third input may be a mask. A key has the size that its kernel accepts.
    key = value
    if len(inputs) > 2 and inputs[2][-1] == layer._key_dense.kernel.shape[0]:
        key = inputs[2]
    parts = [
        (layer._query_dense, query),
        (layer._key_dense, key),
        (layer._value_dense, value),
    ]
    queries, keys, values = (
        (*shape[:-1], *part.kernel.shape[1:]) for part, shape in parts
    )
    parts.append((layer._output_dense, (*queries[:-1], values[-1])))
    if getattr(layer, "_gate_dense", None) is not None:
        parts.append((layer._gate_dense, query))
    # Scores sum over the size of a key; the weighted sum of values is as long as one.
    scores = _einsum(layer._dot_product_equation, keys, queries)
    weighted = scores // queries[-1] * values[-1]
    projected = (_einsum_dense(part, [shape], None) for part, shape in parts)
    return scores + weighted + sum(projected)


def _attention(layer, inputs, output):
    """Attention without projections; additive scores are not a matrix product."""
    query, value = inputs[:2]
    pairs = size(query[:-1]) * (value[-2] or 1)
    sums = "Additive" in type(layer).__name__ or layer.score_mode != "dot"
    return pairs * ((0 if sums else query[-1]) + value[-1])


def _dot(layer, inputs, output):
    axes = layer.axes if isinstance(layer.axes, int) else layer.axes[0]
    return size(output) * (inputs[0][axes] or 1)


def _matmul(layer, inputs, output):
    return size(output) * (inputs[0][-1] or 1)


def _tensordot(layer, inputs, output):
    """The root of all three sizes: each axis occurs in exactly two of the tensors."""
    return math.isqrt(size(inputs[0]) * size(inputs[1]) * size(output))


def _conv(layer, inputs, output):
    return sum(map(size, inputs[1:])) * _positions(layer, output)


def _conv_transpose(layer, inputs, output):
    return size(inputs[1]) * _positions(layer, inputs[0])


def _attention_operation(layer, inputs, output):
    query, key, value = inputs[:3]
    return size(query[:-1]) * (key[1] or 1) * (query[-1] + value[-1])


def _recurrent(layer, inputs, output):
    """Every kernel of a cell is used once in each step, for each output position."""
    cells = getattr(layer.cell, "cells", [layer.cell])
    if not all(type(cell).__name__ in _CELLS for cell in cells):
        return None
    batch, steps = inputs[0][:2]
    axes = getattr(layer.cell, "rank", 0)  # Axes of a convolution's feature map.
    first = getattr(layer.cell, "data_format", None) == "channels_first"
    positions = (output[-axes:] if first else output[-1 - axes : -1]) if axes else ()
    all_kernels = list(kernels.find(cells))
    uses = (steps or 1) * sum(kernel.size for kernel in all_kernels)
    # Unrolled, the converter sees that the initial state is 0 and omits its product.
    if layer.unroll and len(inputs) == 1:
        uses -= sum(kernel.size for kernel in all_kernels if kernel.is_recurrent)
    return size([batch, *positions]) * uses


def _bidirectional(layer, inputs, output):
    parts = (layer.forward_layer, layer.backward_layer)
    shape = tuple(inputs[0])
    return _total(
        count(part, inputs, part.compute_output_shape(shape)) for part in parts
    )


def _time_distributed(layer, inputs, output):
    shape = inputs[0]
    once = count(layer.layer, [(shape[0], *shape[2:])], (output[0], *output[2:]))
    return _total([once], shape[1] or 1)


def _wrapper(layer, inputs, output):
    return count(layer.layer, inputs, output)


def _nested_model(layer, inputs, output):
    """A model inside a wrapper, with the shapes that it was built for."""
    return _total(
        count(call.layer, call.inputs, call.output) for call in calls.find(layer)
    )


def _reversible(layer, inputs, output):
    """A matrix product in the reverse direction, which adds no axis; else a look-up."""
    return size(output) * inputs[0][-1] if len(output) == len(inputs[0]) else 0


def _total(counts, times=1):
    counts = list(counts)
    return None if None in counts else times * sum(counts)


# Their computation depends on options, or is no sum of products of a fixed size.
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
# Class of a layer, or a base class of it -> its rule. The first that matches counts, so
# derived classes stand before their bases.
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
    "MultiHeadAttention": _multi_head_attention,
    "GroupedQueryAttention": _multi_head_attention,
    "Attention": _attention,
    "AdditiveAttention": _attention,
    "Bidirectional": _bidirectional,
    "Functional": _nested_model,
    "Sequential": _nested_model,
    "RNN": _recurrent,
    "TimeDistributed": _time_distributed,
    "SpectralNormalization": _wrapper,
    "ReversibleEmbedding": _reversible,
    # `Dot` is a layer with axes, and an operation.
    "Dot": lambda layer, *call: (_dot if hasattr(layer, "axes") else _matmul)(
        layer, *call
    ),
    "Matmul": _matmul,
    "Inner": _matmul,
    "Vdot": lambda layer, inputs, output: size(inputs[0]),
    "Tensordot": _tensordot,
    "Einsum": lambda layer, inputs, output: _einsum(layer.subscripts, *inputs),
    "Conv": _conv,
    "DepthwiseConv": _conv,
    "SeparableConv": _conv,
    "ConvTranspose": _conv_transpose,
    "DotProductAttention": _attention_operation,
}
