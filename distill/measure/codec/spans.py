"""Finds the numbers in a TFLite file: constants, scales, indices of sparse tensors."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

NIBBLES = 0  # Stands for a width: a byte contains two numbers.
LEAST = 64  # Bytes: shorter spans are not worth a table.
# Type of a tensor to its width; 1 for all others.
_WIDTHS = {
    "INT4": NIBBLES,
    **dict.fromkeys(("FLOAT16", "INT16", "UINT16"), 2),
    **dict.fromkeys(("FLOAT32", "INT32", "UINT32"), 4),
    **dict.fromkeys(("FLOAT64", "INT64", "UINT64"), 8),
}
_INDICES = ("Uint8Vector", "Uint16Vector", "Int32Vector")


@dataclasses.dataclass(frozen=True, order=True)
class Span:
    """Successive numbers of one type in a file.

    Attributes:
        start: Offset of the first byte.
        length: Number of bytes.
        width: Bytes of a number: 1, 2, 4 or 8; or `NIBBLES`.
    """

    start: int
    length: int
    width: int


def find(content: bytes) -> list[Span]:
    """Finds the spans of a file, in order and without overlaps.

    A file that is not a valid TFLite file has none.
    """
    if content[4:8] != b"TFL3":
        return []
    # Imported here: runs without export work where it is not installed.
    from ai_edge_litert import schema_py_generated as schema

    try:
        found = sorted(_read_spans(content, schema))
    except Exception:  # A foreign file may make its reader raise anything.
        return []
    spans, end = [], 0
    for span in found:
        inside = end <= span.start and span.start + span.length <= len(content)
        if inside and span.length >= LEAST and span.length % max(1, span.width) == 0:
            spans.append(span)
            end = span.start + span.length
    return spans


def widths(schema: Any) -> dict[int, int]:
    """The number of each type of tensor in the schema to its width, 1 if absent."""
    return {getattr(schema.TensorType, kind): n for kind, n in _WIDTHS.items()}


def _read_spans(content: bytes, schema: Any) -> Iterator[Span]:
    """Yields the span of every array, which may be invalid in a foreign file."""
    kinds = widths(schema)
    base = np.frombuffer(content, np.uint8).ctypes.data
    model = schema.Model.GetRootAs(content)
    graphs = [model.Subgraphs(index) for index in range(model.SubgraphsLength())]
    for tensor in (
        graph.Tensors(index)
        for graph in graphs
        for index in range(graph.TensorsLength())
    ):
        width = kinds.get(tensor.Type(), 1)
        buffer = model.Buffers(tensor.Buffer())
        if buffer.Size():  # In large files, it follows the flatbuffer.
            yield Span(buffer.Offset(), buffer.Size(), width)
        elif buffer.DataLength():
            yield _locate(buffer.DataAsNumpy(), base, width)
        scales = tensor.Quantization()
        if scales is not None and scales.ScaleLength():
            yield _locate(scales.ScaleAsNumpy(), base, 4)
        if tensor.Sparsity() is not None:
            yield from _read_indices(tensor.Sparsity(), base, schema)


def _read_indices(sparsity, base, schema):
    kinds = {getattr(schema.SparseIndexVector, n): getattr(schema, n) for n in _INDICES}
    for place in range(sparsity.DimMetadataLength()):
        axis = sparsity.DimMetadata(place)
        for kind, table in (
            (axis.ArraySegmentsType(), axis.ArraySegments()),
            (axis.ArrayIndicesType(), axis.ArrayIndices()),
        ):
            if kind in kinds and table is not None:
                vector = kinds[kind]()
                vector.Init(table.Bytes, table.Pos)
                if vector.ValuesLength():
                    values = vector.ValuesAsNumpy()
                    yield _locate(values, base, values.itemsize)


def _locate(values, base, width):
    """The span of a view into the file."""
    return Span(values.ctypes.data - base, values.nbytes, width)
