"""A TFLite file -> what it holds and how it runs. Needs no TensorFlow."""

import dataclasses
import gzip
import math
import pathlib

from distill.measure import graph as graphs
from distill.measure import kernel
from distill.measure.end import End


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
        takes: The file's inputs.
        gives: Its outputs.
    """

    parameters: int
    macs: int
    bytes: int
    gzip_bytes: int
    sparsity: float
    float_ops: tuple[str, ...]
    ops: dict[str, int]
    kernels: tuple[kernel.Kernel, ...] = ()
    takes: tuple[End, ...] = ()
    gives: tuple[End, ...] = ()


def read_facts(path: pathlib.Path) -> Facts:
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
    takes, gives = graph.ends()
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
        takes=takes,
        gives=gives,
    )


def gzip_bytes(path: pathlib.Path) -> int:
    """Size of a file through gzip, in bytes."""
    return len(gzip.compress(path.read_bytes(), mtime=0))


def _macs(name, kernel, output):
    """Kernel is `(out, ...)`, for a depthwise one `(1, ..., out)`; NHWC output."""
    pixels = math.prod(output[1:-1])
    if name == "FULLY_CONNECTED":
        pixels = math.prod(output[:-1])
    return math.prod(kernel) * pixels
