"""Kernels that a file stores as tables, TFLite Micro's `DECODE`: read without it.

A table holds the few different entries of a kernel, or of a channel of it, and each
entry is stored as its place in there, in few bits. The op `TFLM_DECODE` unpacks a
kernel right before the op that uses it. LiteRT does not have this op.
"""

import math
import pathlib
from typing import Any

import numpy as np

from distill.runtime import tflite

OP = b"TFLM_DECODE"
_HEADER = 16  # Bytes before the tables.
_WHOLE = 15  # An axis that means one table for the whole kernel.
_LARGEST = 1 << 28  # Entries of a kernel: a foreign file may claim any shape.


def is_in(path: pathlib.Path) -> bool:
    """Whether a `.tflite` file has kernels as tables."""
    return OP in path.read_bytes()


def expand(content: bytes) -> bytes:
    """The same network with plain kernels, which LiteRT runs.

    Args:
        content: A `.tflite` file. One without tables is returned as it is.

    Raises:
        ValueError: If the tables cannot be read.

    Source:
        tflite-micro, tensorflow/lite/micro/compression/lut.py and decode.py.
    """
    if OP not in content:
        return content
    # Imported here: runs without export work where they are not installed.
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    try:
        model = tflite.unpack(content)
        codes = [code.customCode == OP for code in model.operatorCodes]
        made = 0
        for graph in model.subgraphs:
            for op in graph.operators:
                if codes[op.opcodeIndex]:
                    shapes = [graph.tensors[i].shape for i in op.outputs]
                    made += sum(math.prod(map(int, shape)) for shape in shapes)
                    if made > _LARGEST:
                        raise ValueError("kernels that are too large")
                    _decode(model, graph, op, schema)
            graph.operators = [
                op for op in graph.operators if not codes[op.opcodeIndex]
            ]
        builder = flatbuffers.Builder(2 * len(content))
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())
    except Exception as error:  # A damaged file raises errors of any class.
        raise ValueError(f"tables of kernels that cannot be read: {error}") from None


def _decode(model: Any, graph: Any, op: Any, schema: Any) -> None:
    """Gives the outputs of a `DECODE` their entries, and the names of the kernels."""
    pairs = zip(op.inputs[::2], op.inputs[1::2], op.outputs, strict=True)
    for encoded, ancillary, made in pairs:
        stored, tables, kernel = (graph.tensors[i] for i in (encoded, ancillary, made))
        codes, described = (
            np.asarray(model.buffers[tensor.buffer].data, np.uint8)
            for tensor in (stored, tables)
        )
        if kernel.type != schema.TensorType.INT8:
            raise ValueError("a kernel that is not int8")
        entries = _look_up(codes, described, tuple(map(int, kernel.shape)))
        kernel.name, kernel.buffer = stored.name, len(model.buffers)
        stored.quantization = None  # LiteRT checks tensors that nothing uses, too.
        model.buffers.append(schema.BufferT(data=entries.view(np.uint8).ravel()))


def _look_up(codes, described, shape):
    """The entries of a kernel, int8.

    Args:
        codes: The packed places in the tables, uint8.
        described: The header and the tables, uint8.
        shape: The shape of the kernel.
    """
    kind, version, layout, stride = described[[0, 1, 4, 6]]
    axis, bits = described[5] >> 4, int(described[5] & 7)
    size = math.prod(shape)
    if (kind, version, layout) != (0, 1, 1) or not bits or size > _LARGEST:
        raise ValueError("no table of a known form")
    if len(codes) * 8 < size * bits:  # NumPy would fill up with zeros.
        raise ValueError("fewer places than entries")
    flat = np.unpackbits(codes, count=size * bits).reshape(size, bits)
    places = flat @ (1 << np.arange(bits)[::-1])
    tables = described[_HEADER:].view(np.int8).reshape(-1, stride)
    if axis == _WHOLE:
        return tables[0][places].reshape(shape)
    channel = np.indices(shape, np.int32, sparse=True)[axis]
    return tables[np.broadcast_to(channel, shape), places.reshape(shape)]
