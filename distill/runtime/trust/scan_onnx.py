"""Searches a foreign ONNX model before onnxruntime opens it.

The format describes a graph of operations, and no code; but weights may be stored in
other files, operations may come from a library, and sizes are only declared.
"""

import math
from collections.abc import Iterator
from typing import Any

from distill.runtime.trust.limits import LARGEST, Refused

# The operations of ONNX itself. Those of `training` change weights, and all others
# belong to a library.
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
# Bytes of a number in `raw_data`, by `TensorProto.DataType`; text has none.
_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8}
_BYTES |= {14: 8, 15: 16, 16: 2, 17: 1, 18: 1, 19: 1, 20: 1}
_HALVES = (21, 22, 23)  # Of four bits.
_DEPTH = 16


def check(content: bytes) -> None:
    """Searches a model for what reaches out of its file or grows without end.

    Args:
        content: The file.

    Raises:
        Refused: If it is no ONNX model; uses operations of other domains; stores data
            in other files; or declares more than it holds.
    """
    import onnx

    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # A damaged file raises whatever protobuf does.
        raise Refused(f"it is no whole ONNX model: {error}") from None
    if not model.graph.node:
        raise Refused("it is no ONNX model: it has no operations")
    if model.training_info:
        raise Refused("it has steps of a training, `training_info`")
    own = {(function.domain, function.name) for function in model.functions}
    for function in model.functions:
        _check_nodes(function.node, own)
    _check_graph(model.graph, own)


def _check_graph(graph, own, depth=0):
    if depth > _DEPTH:
        raise Refused("graphs nested without end")
    declared = 0
    for tensor in graph.initializer:
        declared += _check_tensor(tensor)
    for sparse in graph.sparse_initializer:
        declared += _check_sparse(sparse)
    for value in (*graph.input, *graph.output, *graph.value_info):
        _check_value(value)
    if declared > LARGEST:
        raise Refused(f"its weights declare {declared:,} bytes")
    _check_nodes(graph.node, own, depth)


def _check_nodes(nodes, own, depth=0):
    for node in nodes:
        if node.domain not in _DOMAINS and (node.domain, node.op_type) not in own:
            raise Refused(
                f"the custom operation {node.domain}.{node.op_type}: only ONNX's own "
                "are computed"
            )
        for attribute in node.attribute:
            for tensor in (attribute.t, *attribute.tensors):
                _check_tensor(tensor)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                _check_sparse(sparse)
            for graph in _graphs(attribute):
                _check_graph(graph, own, depth + 1)


def _graphs(attribute) -> Iterator[Any]:
    if attribute.HasField("g"):
        yield attribute.g
    yield from attribute.graphs


def _check_sparse(sparse):
    """Bytes of a sparse tensor, of which the dense form counts too."""
    _check_tensor(sparse.values)
    _check_tensor(sparse.indices)
    return _size(sparse.dims, 4)


def _check_tensor(tensor):
    """Bytes of a tensor, all of which must be in the file."""
    if tensor.data_location or tensor.external_data:
        places = [entry.value for entry in tensor.external_data]
        raise Refused(f"data stored in another file: {', '.join(places)[:80]!r}")
    size = _size(tensor.dims, _BYTES.get(tensor.data_type, 4))
    if tensor.data_type in _HALVES:
        size = (size // 4 + 1) // 2
    if tensor.HasField("raw_data") and len(tensor.raw_data) != size:
        raise Refused(
            f"weights that declare {size:,} bytes and hold {len(tensor.raw_data):,}: "
            f"{tensor.name[:40]!r}"
        )
    if not tensor.HasField("raw_data") and size > 1 << 10:
        _check_typed(tensor)
    return size


def _check_typed(tensor):
    """The numbers of a tensor that has a list of them, in place of bytes."""
    lists = (tensor.float_data, tensor.int32_data, tensor.int64_data)
    lists += (tensor.double_data, tensor.uint64_data, tensor.string_data)
    held = max(map(len, lists))
    # A list has two numbers for a complex one, and one for several of four bits.
    if math.prod(tensor.dims) > 8 * held:
        raise Refused(
            f"weights that declare {math.prod(tensor.dims):,} numbers and hold "
            f"{held:,}: {tensor.name[:40]!r}"
        )


def _check_value(value):
    """The declared shape of an input, an output or what is between."""
    shape = value.type.tensor_type.shape
    _size([size.dim_value for size in shape.dim if size.dim_value], 1)


def _size(dims, bytes_each):
    """Bytes of an array of this shape."""
    if any(size < 0 for size in dims):
        raise Refused(f"the shape {list(dims)}")
    size = math.prod(dims) * bytes_each
    if size > LARGEST:
        raise Refused(f"the shape {list(dims)}, {size:,} bytes")
    return size
