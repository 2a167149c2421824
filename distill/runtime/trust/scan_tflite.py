"""Searches a foreign `.tflite` file before LiteRT opens it."""

import math

from distill.runtime import tflite
from distill.runtime.trust.limits import LARGEST, Refused


def check(content: bytes) -> None:
    """Searches a file for what reaches out of it or grows without end.

    Args:
        content: The file.

    Raises:
        Refused: If it is no TFLite file; has custom operations, for which LiteRT would
            look in a library; stores data outside its tables; or declares more than it
            may.
    """
    if content[4:8] != b"TFL3":
        raise Refused("it is no TFLite file")
    try:
        model = tflite.unpack(content)
        _check_operators(model)
        _check_buffers(model)
        for graph in model.subgraphs or []:
            for tensor in graph.tensors or []:
                _check_shape(tensor)
    except Refused:
        raise
    except Exception as error:  # A damaged file raises anything.
        raise Refused(f"it is no whole TFLite file: {error}") from None


def _check_operators(model):
    # Imported here, as in `tflite.unpack`.
    from ai_edge_litert import schema_py_generated as schema

    for code in model.operatorCodes or []:
        if code.customCode is not None or schema.BuiltinOperator.CUSTOM in (
            code.builtinCode,
            code.deprecatedBuiltinCode,
        ):
            name = bytes(code.customCode or b"?").decode(errors="replace")
            raise Refused(f"the custom operation {name[:40]}: only TFLite's own run")


def _check_buffers(model):
    tensors = [each for graph in model.subgraphs or [] for each in graph.tensors or []]
    if model.externalBuffers or model.externalBufferGroups:
        raise Refused("data stored in another file")
    if any(tensor.externalBuffer for tensor in tensors):
        raise Refused("data stored in another file")


def _check_shape(tensor):
    for shape in (tensor.shape, tensor.shapeSignature):
        sizes = [int(size) for size in (() if shape is None else shape)]
        if any(size < -1 for size in sizes):
            raise Refused(f"the shape {sizes}")
        if math.prod(abs(size) for size in sizes) * 8 > LARGEST:
            raise Refused(f"the shape {sizes}")
