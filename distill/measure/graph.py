"""Reads the ops and tensors of a TFLite file. Needs no TensorFlow."""

import copy
import functools
import math
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from distill.measure.end import End
from distill.measure.kernel import Kernel, describe, stored_arrays, to_dense, unpack
from distill.runtime import tflite

# Ops with a kernel and a fused activation, and the place of the kernel in their inputs.
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
KERNEL = 1
_STORED = ("DEQUANTIZE", "DENSIFY")  # Ops between a stored kernel and its user.
_TYPES = {  # A byte holds two entries of four bits.
    "INT4": np.uint8,
    "FLOAT32": np.float32,
    "FLOAT16": np.float16,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
}


class Graph:
    """The ops and tensors of a file's graph, or of a loop in it.

    Args:
        content: The file's bytes.
        path: The path in error messages.

    Attributes:
        ops: The ops in execution order, without those inside a loop.
        inputs: Indices of the input tensors.
        outputs: Indices of the output tensors.

    Raises:
        ValueError: If the content is not a TFLite file.
    """

    def __init__(self, content: bytes, path: pathlib.Path | str = "this"):
        if content[4:8] != b"TFL3":
            raise ValueError(f"{path} is not a TFLite file")
        try:
            self._model = tflite.unpack(content)
            self._select(0)
        except ImportError:  # Without LiteRT, nothing is known of the file.
            raise
        except Exception as error:  # A damaged file raises errors of any class.
            raise ValueError(f"{path} is a damaged TFLite file: {error}") from None

    def _select(self, index):
        graph = self._model.subgraphs[index]
        self.ops, self._tensors = graph.operators, graph.tensors
        self.inputs, self.outputs = list(graph.inputs), list(graph.outputs)
        self._producers = {index: op for op in self.ops for index in op.outputs}

    def subgraphs(self, op: Any) -> list["Graph"]:
        """The graphs that an op runs; for a loop its condition and its body."""
        options = vars(op.builtinOptions) if op.builtinOptions else {}
        graphs = []
        for name, index in options.items():
            if name.lower().endswith("subgraphindex"):
                part = copy.copy(self)
                part._select(index)
                graphs.append(part)
        return graphs

    def walk(self) -> Iterator[tuple["Graph", Any]]:
        """Every op with its graph; the ops inside a loop follow the loop."""
        for op in self.ops:
            yield self, op
            for part in self.subgraphs(op):
                yield from part.walk()

    def producer(self, index: int) -> Any:
        """The op whose output a tensor is; None for an input or a constant."""
        return self._producers.get(index)

    def name(self, op) -> str:
        """The name of an op's kind, such as `CONV_2D`."""
        code = self._model.operatorCodes[op.opcodeIndex]
        # Old writers fill one field, new ones the other; the larger is the code.
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        return _names("BuiltinOperator")[number]

    def full_name(self, op) -> str:
        """As `name`; a custom op is `CUSTOM` and the name that its writer gave it."""
        custom = self._model.operatorCodes[op.opcodeIndex].customCode or b""
        return f"{self.name(op)} {custom.decode(errors='replace')}".rstrip()

    def activation(self, op) -> str:
        """The fused activation of a `WEIGHTED` op: `NONE`, `RELU`, ..."""
        number = op.builtinOptions.fusedActivationFunction
        return _names("ActivationFunctionType")[number]

    def tensor_name(self, index: int) -> str:
        """The name of a tensor, which usually contains those of its layers."""
        return self._tensors[index].name.decode()

    def constant(self, index: int) -> int:
        """The constant tensor behind an op's input."""
        producers = self._producers
        while index in producers and self.name(producers[index]) in _STORED:
            index = producers[index].inputs[0]
        return index

    def is_constant(self, index: int) -> bool:
        """Whether the file contains the entries of a tensor."""
        data = self._model.buffers[self._tensors[index].buffer].data
        return data is not None and len(data) > 0

    def place(self, index: int) -> int:
        """The number of a constant's buffer, which several tensors may share."""
        return self._tensors[index].buffer

    def shape(self, index: int) -> tuple[int, ...]:
        """The shape of a tensor."""
        return tuple(int(size) for size in self._tensors[index].shape)

    def ends(self) -> tuple[tuple[End, ...], tuple[End, ...]]:
        """The file's inputs, and its outputs."""
        graph = self._model.subgraphs[0]
        return tuple(map(self.end, graph.inputs)), tuple(map(self.end, graph.outputs))

    def end(self, index: int) -> End:
        """Type, shape and scale of a tensor, as of an input or an output."""
        tensor = self._tensors[index]
        quantization = tensor.quantization
        # A float has no scale. One scale and not many: an end has no channels.
        scales = getattr(quantization, "scale", None)
        scaled = scales is not None and len(scales) == 1
        return End(
            dtype=_type(tensor).lower(),
            shape=self.shape(index),
            scale=float(scales[0]) if scaled else None,
            zero_point=int(quantization.zeroPoint[0]) if scaled else None,
        )

    def size(self, index: int) -> int:
        """The number of entries of a tensor."""
        return math.prod(self.shape(index))

    def kernel(self, index: int, axis: int = 0) -> Kernel:
        """Describes a constant as a kernel.

        Args:
            index: Index of the tensor.
            axis: The axis of output channels.
        """
        values, bits = self._entries(index)
        tensor = self._tensors[index]
        zeros = getattr(tensor.quantization, "zeroPoint", None)
        if zeros is not None and np.any(zeros):
            # An entry represents zero if it equals the zero point.
            zeros = self._along(tensor.quantization, zeros, values)
            values = values.astype(np.int32) - zeros
        stored = stored_arrays(self._data(index), bits, tensor.sparsity)
        name = self.tensor_name(index)
        return describe(name, np.moveaxis(values, axis, 0), bits, stored)

    def values(self, index: int) -> np.ndarray:
        """The numbers that a constant represents, float32."""
        return self.dequantize(index, self._entries(index)[0])

    def dequantize(self, index: int, entries: np.ndarray) -> np.ndarray:
        """The numbers that entries of a tensor represent, float32.

        Args:
            index: Index of the tensor.
            entries: The stored entries, in the tensor's shape.
        """
        quantization = self._tensors[index].quantization
        entries = entries.astype(np.float32)
        if quantization is None or quantization.scale is None:
            return entries
        zeros, scales = (
            self._along(quantization, np.asarray(numbers, np.float32), entries)
            for numbers in (quantization.zeroPoint, quantization.scale)
        )
        return (entries - zeros) * scales

    def _along(self, quantization, numbers, entries):
        """Reshapes a number, or one for each channel, to broadcast against entries."""
        sizes = [1] * entries.ndim
        if len(numbers) > 1:
            sizes[quantization.quantizedDimension] = -1
        return numbers.reshape(sizes)

    def _entries(self, index):
        """The stored entries of a constant, dense, and the bits of an entry."""
        tensor = self._tensors[index]
        kind = np.dtype(_TYPES[_type(tensor)])
        values = np.frombuffer(self._data(index), kind)
        bits = 8 * kind.itemsize
        if _type(tensor) == "INT4":
            values, bits = unpack(values)[: self.size(index)], 4
        if tensor.sparsity is not None:
            values = to_dense(values, tensor.sparsity, self.shape(index))
        return values.reshape(self.shape(index)), bits

    def _data(self, index):
        return bytes(self._model.buffers[self._tensors[index].buffer].data)

    def float_ops(self) -> Iterator[str]:
        """Names of the ops that compute in float.

        Without the conversion of the file's inputs and outputs.
        """
        for part, op in self.walk():
            name = part.name(op)
            # Only at the ends of the file, not inside a loop.
            converts_end = part.ops is self.ops and (
                (name == "QUANTIZE" and set(op.inputs) <= set(self.inputs))
                or (name == "DEQUANTIZE" and set(op.outputs) <= set(self.outputs))
            )
            # The index -1 is that of an optional input that is left out.
            has_floats = any(
                index >= 0 and _type(part._tensors[index]) == "FLOAT32"
                for index in (*op.inputs, *op.outputs)
            )
            if has_floats and not converts_end:
                yield name


def _type(tensor):
    """The name of a tensor's type, such as `INT8`."""
    return _names("TensorType")[tensor.type]


@functools.cache
def _names(kind):
    """Number to name, for an enumeration of the schema."""
    members = vars(getattr(_schema(), kind)).items()
    return {value: name for name, value in members if name[0] != "_"}


def _schema():
    # Imported here: runs without export work where it is not installed.
    from ai_edge_litert import schema_py_generated

    return schema_py_generated
