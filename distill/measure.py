"""A TFLite file -> what it holds and how it runs. Needs no TensorFlow."""

import dataclasses
import gc
import gzip
import math
import os
import pathlib
import time

import numpy as np
from ai_edge_litert import interpreter

from distill import graph as graphs
from distill import stored
from distill.runtime import versions

BATCH = 64  # Images at once where only answers are wanted.


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
    graph = graphs.Graph(path.read_bytes(), path)
    names = [graph.name(op) for op in graph.ops]
    sizes, described, others, macs = {}, {}, {}, 0
    for op, name in zip(graph.ops, names, strict=True):
        if name == "GATHER":
            table = graph.constant(op.inputs[graphs.TABLE])
            others[table] = graph.size(table)
        if name not in graphs.WEIGHTED:
            continue
        kernel = graph.constant(op.inputs[graphs.KERNEL])
        sizes[kernel] = graph.size(kernel)
        if name != "DEPTHWISE_CONV_2D":
            described[kernel] = graph.kernel(kernel)
        if len(op.inputs) > graphs.BIAS and op.inputs[graphs.BIAS] >= 0:
            bias = graph.constant(op.inputs[graphs.BIAS])
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
        "machine": versions.machine(),
    }


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


def _macs(name, kernel, output):
    """Kernel is `(out, ...)`, for a depthwise one `(1, ..., out)`; NHWC output."""
    pixels = math.prod(output[1:-1])
    if name == "FULLY_CONNECTED":
        pixels = math.prod(output[:-1])
    return math.prod(kernel) * pixels
