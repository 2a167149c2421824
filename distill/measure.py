"""A TFLite file -> what it holds and how it runs. Needs no TensorFlow."""

import contextlib
import dataclasses
import gc
import gzip
import math
import os
import pathlib
import platform
import time

import numpy as np
from ai_edge_litert import interpreter
from ai_edge_litert import schema_py_generated as schema

from distill import stored

BATCH = 64  # Images at once where only answers are wanted.

# Which of an op's inputs are the kernel, the bias, what is looked up.
_KERNEL, _BIAS = 1, 2
_TABLE = 0
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_STORED = ("DEQUANTIZE", "DENSIFY")  # Between a stored kernel and its user.
_OPS = {
    value: name
    for name, value in vars(schema.BuiltinOperator).items()
    if name[0] != "_"
}
_TYPES = {  # Of four bits, a byte holds two.
    schema.TensorType.INT4: np.uint8,
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT16: np.int16,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
}


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a file holds.

    Attributes:
        parameters: Entries of all kernels, biases and tables, zeros too.
        macs: Multiply-accumulates of kernels, for one input.
        bytes: Size of the file.
        gzip_bytes: Size of the file through gzip.
        sparsity: Share of exact zeros among the entries of all kernels but
            depthwise ones, which are small and no pruning cuts.
        float_ops: Ops that compute in float, in order, each named once; not
            the conversion of the input and of the output.
        ops: Name of each op to how often it stands in the file.
        kernels: Each kernel but depthwise ones, in order.
    """

    parameters: int
    macs: int
    bytes: int
    gzip_bytes: int
    sparsity: float
    float_ops: tuple[str, ...]
    ops: dict[str, int]
    kernels: tuple[stored.Kernel, ...] = ()


def inspect(path: pathlib.Path) -> Facts:
    """Reads a file without running it.

    Raises:
        ValueError: If it is no TFLite file.
    """
    graph = _Graph(path)
    names = [graph.name(op) for op in graph.ops]
    sizes, described, others, macs = {}, {}, {}, 0
    for op, name in zip(graph.ops, names, strict=True):
        if name == "GATHER":
            table = graph.stored(op.inputs[_TABLE])
            others[table] = graph.size(table)
        if name not in _WEIGHTED:
            continue
        kernel = graph.stored(op.inputs[_KERNEL])
        sizes[kernel] = graph.size(kernel)
        if name != "DEPTHWISE_CONV_2D":
            described[kernel] = graph.kernel(kernel)
        if len(op.inputs) > _BIAS and op.inputs[_BIAS] >= 0:
            bias = graph.stored(op.inputs[_BIAS])
            others[bias] = graph.size(bias)
        macs += _macs(name, graph.shape(kernel), graph.shape(op.outputs[0]))
    zeros = sum(kernel.zeros for kernel in described.values())
    prunable = sum(kernel.size for kernel in described.values())
    return Facts(
        parameters=sum(sizes.values()) + sum(others.values()),
        macs=macs,
        bytes=path.stat().st_size,
        gzip_bytes=gzip_bytes(path),
        sparsity=float(zeros / max(1, prunable)),
        float_ops=tuple(dict.fromkeys(graph.float_ops())),
        ops={name: names.count(name) for name in sorted(set(names))},
        kernels=tuple(described.values()),
    )


def gzip_bytes(path: pathlib.Path) -> int:
    """Size of a file through gzip, in bytes."""
    return len(gzip.compress(path.read_bytes(), mtime=0))


def predict(path: pathlib.Path, inputs: np.ndarray) -> np.ndarray:
    """A file's answers.

    Args:
        path: The file.
        inputs: Images, float32 in [0, 1], `(n, height, width, channels)`; or ids,
            int32, `(n, length)`.

    Returns:
        Logits, float32, `(n, classes)`.

    Raises:
        ValueError: If the file cannot be run on such inputs.
    """
    size = BATCH if _takes(path, (BATCH, *inputs.shape[1:])) else 1
    answers, run = [], None
    for start in range(0, len(inputs), size):
        batch = inputs[start : start + size]
        if run is None or len(batch) != size:
            run = _runner(path, batch.shape, os.cpu_count() or 1)
        answers.append(run(batch))
    return np.concatenate(answers)


def latency(
    path: pathlib.Path,
    example: np.ndarray,
    *,
    threads: int = 1,
    runs: int = 200,
    warmup: int = 20,
) -> dict:
    """How long a file takes for one input.

    Args:
        path: The file.
        example: As in `predict`, one alone.
        threads: That the interpreter may use.
        runs: Measured calls.
        warmup: Calls before them.

    Returns:
        `median` and `p90` in milliseconds; `threads`, `runs`, `machine`.
    """
    run = _runner(path, example.shape, threads)
    for _ in range(warmup):
        run(example)
    collecting = gc.isenabled()
    gc.disable()
    try:
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            run(example)
            times.append(1000 * (time.perf_counter() - start))
    finally:
        if collecting:
            gc.enable()
    return {
        "median": float(np.median(times)),
        "p90": float(np.percentile(times, 90)),
        "threads": threads,
        "runs": runs,
        "machine": machine(),
    }


def machine() -> str:
    """Processor, number of cores that this process may use, operating system."""
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    return f"{processor}, {cores()} cores, {platform.system()}"


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _takes(path, shape):
    """Whether a file runs on such a batch; a reshape inside may bind it to one."""
    try:
        _runner(path, shape, 1)
    except ValueError:
        return False
    return True


def _runner(path, shape, threads):
    """A function from inputs of this shape to the file's answers."""
    try:
        model = interpreter.Interpreter(str(path), num_threads=threads)
        given, made = model.get_input_details()[0], model.get_output_details()[0]
        wanted = tuple(int(size) for size in given["shape"][1:])
        if wanted != tuple(shape[1:]):
            raise ValueError(f"expected inputs {wanted}. Received: {shape[1:]}")
        model.resize_tensor_input(given["index"], shape)
        model.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{path} cannot be run: {error}") from None

    def run(inputs):
        model.set_tensor(given["index"], inputs)
        model.invoke()
        return model.get_tensor(made["index"])

    return run


class _Graph:
    """The ops and tensors of a file's only graph."""

    def __init__(self, path):
        content = path.read_bytes()
        if content[4:8] != b"TFL3":
            raise ValueError(f"{path} is no TFLite file")
        try:
            self._model = schema.ModelT.InitFromPackedBuf(content, 0)
            graph = self._model.subgraphs[0]
            self.ops, self._tensors = graph.operators, graph.tensors
            self._inputs, self._outputs = set(graph.inputs), set(graph.outputs)
        except Exception as error:  # A damaged file raises anything.
            raise ValueError(f"{path} is a damaged TFLite file: {error}") from None
        self._maker = {made: op for op in self.ops for made in op.outputs}

    def name(self, op):
        code = self._model.operatorCodes[op.opcodeIndex]
        return _OPS[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def stored(self, index):
        """The constant tensor behind an op's input."""
        while index in self._maker and self.name(self._maker[index]) in _STORED:
            index = self._maker[index].inputs[0]
        return index

    def shape(self, index):
        return tuple(int(size) for size in self._tensors[index].shape)

    def size(self, index):
        return math.prod(self.shape(index))

    def kernel(self, index):
        """What there is to say of a constant; what a sparse one leaves out is zero."""
        tensor = self._tensors[index]
        kind = np.dtype(_TYPES[tensor.type])
        values = np.frombuffer(bytes(self._model.buffers[tensor.buffer].data), kind)
        bits = 8 * kind.itemsize
        if tensor.type == schema.TensorType.INT4:
            values, bits = stored.unpacked(values)[: self.size(index)], 4
        if tensor.sparsity is not None:
            values = stored.dense(values, tensor.sparsity, self.shape(index))
        values = values.reshape(self.shape(index))
        return stored.describe(tensor.name.decode(), values, bits)

    def float_ops(self):
        """Names of the ops that compute in float."""
        for op in self.ops:
            name = self.name(op)
            edge = (name == "QUANTIZE" and set(op.inputs) <= self._inputs) or (
                name == "DEQUANTIZE" and set(op.outputs) <= self._outputs
            )
            touched = [*op.inputs, *op.outputs]
            floats = any(
                index >= 0 and self._tensors[index].type == schema.TensorType.FLOAT32
                for index in touched
            )
            if floats and not edge:
                yield name


def _macs(name, kernel, output):
    """Kernel is `(out, ...)`, for a depthwise one `(1, ..., out)`; NHWC output."""
    pixels = math.prod(output[1:-1])
    if name == "FULLY_CONNECTED":
        pixels = math.prod(output[:-1])
    return math.prod(kernel) * pixels
