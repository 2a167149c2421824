"""The length of a description of a file for somebody who knows all but its numbers.

Kernels, biases, scales and zero points must be described; the graph follows from the
network and the finisher. Arrays have the form that a container would give them, but no
length, which follows from their shapes.
"""

import numpy as np

from distill.measure.codec import planes, spans
from distill.runtime import tflite

_FORM = 2  # Bits: stored, coded, coded as differences, or coded with a codebook.


def description_bits(content: bytes) -> float:
    """The length in bits, without a fixed cost of the coder for the whole file.

    Args:
        content: A TFLite file whose tensors are all stored dense.

    Raises:
        ValueError: If a tensor is stored sparse.
    """
    return sum(array_bits(*array) for array in _arrays(content))


def array_bits(content: bytes, width: int) -> float:
    """The length of the shortest description of an array in bits.

    Args:
        content: The bytes of its numbers.
        width: See `spans.Span`.
    """
    if not content:
        return 0.0
    piece = planes.encode_numbers(content, width)
    # The size of a codebook is one byte more, which `Piece.size` leaves out.
    book = bool(piece.form & planes.BOOK)
    return _FORM + 8 * min(len(content), piece.size - planes.HEAD + book)


def _arrays(content):
    """The bytes and widths of the arrays to describe.

    Each kernel or table is one. All vectors of a type, such as biases, are one
    together, and so are all scales and all zero points: tables of their own would not
    pay.
    """
    from ai_edge_litert import schema_py_generated as schema

    widths = spans.widths(schema)
    model = tflite.unpack(content)
    vectors: dict[int, list[bytes]] = {}
    scales, zeros = [], []
    for tensor in (tensor for graph in model.subgraphs for tensor in graph.tensors):
        data, width = model.buffers[tensor.buffer].data, widths.get(tensor.type, 1)
        stored = data is not None and len(data) > 0
        if tensor.sparsity is not None:
            raise ValueError(f"`{tensor.name.decode()}` is stored sparse")
        # Also one that shares its buffer: the decoder is not told which ones do.
        if stored:
            if len(tensor.shape) > 1:
                yield bytes(data), width
            else:
                vectors.setdefault(tensor.type, []).append(bytes(data))
        # The scale of a bias of 32 bits is the product of those of input and kernel.
        if not (stored and tensor.type == schema.TensorType.INT32):
            _add_quantization(tensor.quantization, stored, scales, zeros)
    for kind, parts in vectors.items():
        yield b"".join(parts), widths.get(kind, 1)
    yield np.concatenate([*scales, []]).astype("<f4").tobytes(), 4
    yield np.concatenate([*zeros, []]).astype(np.uint8).tobytes(), 1


def _add_quantization(quantization, stored, scales, zeros):
    """Adds the scales of a tensor, and its zero points where they may not be zero."""
    if quantization is None or quantization.scale is None:
        return
    scales.append(quantization.scale)
    if not stored or np.any(quantization.zeroPoint):
        zeros.append(quantization.zeroPoint)
