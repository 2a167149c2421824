"""The ops and tensors of a TFLite file, without running it. Needs no TensorFlow."""

import copy
import functools
import math
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from distill.measure.end import End
from distill.measure.kernel import Kernel, describe, to_dense, unpack

# Ops with a kernel and an activation in one, and which of their inputs is the kernel.
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
KERNEL = 1
_STORED = ("DEQUANTIZE", "DENSIFY")  # Between a stored kernel and its user.
_TYPES = {  # Of four bits, a byte holds two.
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
        path: Named in errors.

    Attributes:
        ops: In the order in which they run, without those inside a loop.
        inputs: Indices of the tensors that it is given.
        outputs: Of those that it makes.

    Raises:
        ValueError: If it is no TFLite file.
    """

    def __init__(self, content: bytes, path: pathlib.Path | str = "this"):
        if content[4:8] != b"TFL3":
            raise ValueError(f"{path} is no TFLite file")
        schema = _schema()
        try:
            self._model = schema.ModelT.InitFromPackedBuf(content, 0)
            self._take(0)
        except Exception as error:  # A damaged file raises anything.
            raise ValueError(f"{path} is a damaged TFLite file: {error}") from None

    def _take(self, index):
        graph = self._model.subgraphs[index]
        self.ops, self._tensors = graph.operators, graph.tensors
        self.inputs, self.outputs = list(graph.inputs), list(graph.outputs)
        self._maker = {made: op for op in self.ops for made in op.outputs}

    def inside(self, op: Any) -> list["Graph"]:
        """The graphs that an op runs: of a loop, what checks it, and its body."""
        options = vars(op.builtinOptions) if op.builtinOptions else {}
        found = []
        for name, index in options.items():
            if name.lower().endswith("subgraphindex"):
                part = copy.copy(self)
                part._take(index)
                found.append(part)
        return found

    def walk(self) -> Iterator[tuple["Graph", Any]]:
        """Every op with the graph that it is in; those inside a loop come behind it."""
        for op in self.ops:
            yield self, op
            for part in self.inside(op):
                yield from part.walk()

    def maker(self, index: int) -> Any:
        """The op that makes a tensor; None of one that is given or constant."""
        return self._maker.get(index)

    def name(self, op) -> str:
        """The name of what an op computes, such as `CONV_2D`."""
        code = self._model.operatorCodes[op.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        return _names("BuiltinOperator")[number]

    def activation(self, op) -> str:
        """What a `WEIGHTED` op does to its output at once: `NONE`, `RELU`, ..."""
        number = op.builtinOptions.fusedActivationFunction
        return _names("ActivationFunctionType")[number]

    def label(self, index: int) -> str:
        """The name of a tensor, which tells of the layers that it was made of."""
        return self._tensors[index].name.decode()

    def constant(self, index: int) -> int:
        """The constant tensor behind an op's input."""
        while index in self._maker and self.name(self._maker[index]) in _STORED:
            index = self._maker[index].inputs[0]
        return index

    def is_constant(self, index: int) -> bool:
        """Whether the file holds the entries of a tensor."""
        data = self._model.buffers[self._tensors[index].buffer].data
        return data is not None and len(data) > 0

    def place(self, index: int) -> int:
        """Where the file holds a constant; two tensors may share the place."""
        return self._tensors[index].buffer

    def shape(self, index: int) -> tuple[int, ...]:
        """Sizes of a tensor."""
        return tuple(int(size) for size in self._tensors[index].shape)

    def ends(self) -> tuple[tuple[End, ...], tuple[End, ...]]:
        """What the file takes, and what it gives."""
        graph = self._model.subgraphs[0]
        return tuple(map(self._end, graph.inputs)), tuple(map(self._end, graph.outputs))

    def _end(self, index):
        tensor = self._tensors[index]
        how = tensor.quantization
        scaled = how is not None and how.scale is not None and len(how.scale) == 1
        return End(
            dtype=_type(tensor).lower(),
            shape=self.shape(index),
            scale=float(how.scale[0]) if scaled else None,
            zero_point=int(how.zeroPoint[0]) if scaled else None,
        )

    def size(self, index: int) -> int:
        """Entries of a tensor."""
        return math.prod(self.shape(index))

    def kernel(self, index: int, axis: int = 0) -> Kernel:
        """What there is to say of a constant.

        Args:
            index: Of the tensor.
            axis: On which each output has an entry.
        """
        values, bits = self._entries(index)
        how = self._tensors[index].quantization
        if how is not None and how.zeroPoint is not None and np.any(how.zeroPoint):
            # Zero is what stands for zero.
            values = values.astype(np.int32) - self._along(how, how.zeroPoint, values)
        return describe(self.label(index), np.moveaxis(values, axis, 0), bits)

    def values(self, index: int) -> np.ndarray:
        """The numbers that a constant stands for, float32."""
        return self.real(index, self._entries(index)[0])

    def real(self, index: int, entries: np.ndarray) -> np.ndarray:
        """The numbers that entries of a tensor stand for, float32.

        Args:
            index: Of the tensor.
            entries: As they are stored, of the tensor's shape.
        """
        how = self._tensors[index].quantization
        entries = entries.astype(np.float32)
        if how is None or how.scale is None:
            return entries
        zeros, scales = (
            self._along(how, np.asarray(numbers, np.float32), entries)
            for numbers in (how.zeroPoint, how.scale)
        )
        return (entries - zeros) * scales

    def _along(self, how, numbers, entries):
        """One number for each channel, or one for all, as it meets the entries."""
        sizes = [1] * entries.ndim
        if len(numbers) > 1:
            sizes[how.quantizedDimension] = -1
        return numbers.reshape(sizes)

    def _entries(self, index):
        """A constant as it is stored, and the bits of an entry.

        What a sparse one leaves out is zero.
        """
        tensor = self._tensors[index]
        kind = np.dtype(_TYPES[_type(tensor)])
        values = np.frombuffer(bytes(self._model.buffers[tensor.buffer].data), kind)
        bits = 8 * kind.itemsize
        if _type(tensor) == "INT4":
            values, bits = unpack(values)[: self.size(index)], 4
        if tensor.sparsity is not None:
            values = to_dense(values, tensor.sparsity, self.shape(index))
        return values.reshape(self.shape(index)), bits

    def float_ops(self) -> Iterator[str]:
        """Names of the ops that compute in float.

        Not the conversion of the input and of the output.
        """
        for part, op in self.walk():
            name = part.name(op)
            edge = part.ops is self.ops and (
                (name == "QUANTIZE" and set(op.inputs) <= set(self.inputs))
                or (name == "DEQUANTIZE" and set(op.outputs) <= set(self.outputs))
            )
            touched = [*op.inputs, *op.outputs]
            floats = any(
                index >= 0 and _type(part._tensors[index]) == "FLOAT32"
                for index in touched
            )
            if floats and not edge:
                yield name


def _type(tensor):
    """The name of what a tensor's entries are, such as `INT8`."""
    return _names("TensorType")[tensor.type]


@functools.cache
def _names(kind):
    """Number to name, of one of the schema's enumerations."""
    members = vars(getattr(_schema(), kind)).items()
    return {value: name for name, value in members if name[0] != "_"}


def _schema():
    # Here, not at the top: where nothing is exported, it need not be installed.
    from ai_edge_litert import schema_py_generated

    return schema_py_generated
