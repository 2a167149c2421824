"""Writes the kernels of a clustered file as tables, which TFLite Micro unpacks.

TFLite Micro's package packs them; here it is chosen which kernels gain, and by which
axis: a table must follow the scales of its kernel, else the file runs and is wrong.
"""

import pathlib
import subprocess
import tempfile

import numpy as np
import yaml
from ai_edge_litert import schema_py_generated as schema

from distill.measure import graph as graphs
from distill.measure import interpreter, lut
from distill.measure.micro import trial
from distill.runtime import tflite
from distill.runtime.errors import FinishError
from distill.runtime.process import python
from distill.runtime.trust import provenance

_COMPRESSOR = "tflite_micro.tensorflow.lite.micro.compression.compress"
_SECONDS = 600
_BITS = 7  # The most that a place in a table may have.
_HEADER = 16  # Bytes before the tables of a kernel.
_OVERHEAD = 240  # Bytes of an op, of its two more tensors, and of their places.


def make(plain: bytes, inputs: np.ndarray) -> tuple[bytes, dict[str, float]]:
    """A file with tables, and how far it is from the plain one in TFLite Micro.

    Args:
        plain: A `.tflite` file in eight bits.
        inputs: Real inputs, as `interpreter.predict` takes them.

    Returns:
        As `compress` and `compare`.

    Raises:
        As `compress` and `compare` do.
    """
    file = compress(plain)
    return file, compare(plain, file, inputs)


def compress(content: bytes) -> bytes:
    """A file with tables in place of those kernels that become shorter by it.

    Args:
        content: A `.tflite` file in eight bits.

    Returns:
        The file for TFLite Micro; the same file if no kernel becomes shorter.

    Raises:
        FinishError: If the package does not make it, or the tables do not hold the
            kernels.
    """
    chosen = choose(content)
    if not chosen:
        return content
    file = _bare(_pack(content, chosen))
    if _constants(lut.expand(file)) != _constants(content):
        raise FinishError("the tables of TFLite Micro's package hold other kernels")
    return file


def choose(content: bytes) -> list[dict]:
    """The kernels that become shorter, as the package's specification lists them."""
    graph = graphs.Graph(content)
    tensors = tflite.unpack(content).subgraphs[0].tensors
    chosen = {}
    for op in graph.ops:
        if graph.name(op) not in graphs.WEIGHTED:
            continue
        index = int(op.inputs[graphs.KERNEL])
        tensor = tensors[index]
        if tensor.type == schema.TensorType.INT8 and graph.is_constant(index):
            found = _tables(graph, index, tensor.quantization)
            if found is not None:
                chosen[index] = found
    return [
        {"subgraph": 0, "tensor": index, "compression": [{"lut": table}]}
        for index, table in chosen.items()
    ]


def _tables(graph, index, quantization):
    """The form of a kernel's tables; None if it does not become shorter."""
    many = len(quantization.scale) > 1
    axis = int(quantization.quantizedDimension) if many else 0
    kernel = graph.kernel(index, axis)
    longest = kernel.channel_distinct if many else kernel.distinct
    bits = max(1, (longest - 1).bit_length())
    stored = kernel.size * bits / 8 + longest * (kernel.shape[0] if many else 1)
    saved = kernel.size - stored - _HEADER - _OVERHEAD
    # The kernels of TFLite Micro know tables of the first and of the last axis.
    known = axis in (0, len(kernel.shape) - 1)
    if bits > _BITS or saved <= 0 or not known:
        return None
    mode = {"per_channel": {"axis": axis}} if many else {"per_tensor": None}
    return {"index_bitwidth": bits, **mode}


def _pack(content, chosen):
    """The file as the package writes it, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        given, spec, made = (
            pathlib.Path(folder) / name for name in ("in.tflite", "spec", "out.tflite")
        )
        given.write_bytes(content)
        spec.write_text(yaml.safe_dump({"tensors": chosen}))
        flags = [f"--input={given}", f"--spec={spec}", f"--output={made}"]
        try:
            done = subprocess.run(
                python.command(_COMPRESSOR, *flags),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise FinishError(
                f"TFLite Micro's package is not done within {_SECONDS} s"
            ) from None
        if done.returncode or not made.exists():
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise FinishError(f"TFLite Micro's package makes no tables: {lines[-1]}")
        return made.read_bytes()


def _bare(content):
    """The file without what the package repeats: names of kernels, and their scales."""
    model = tflite.unpack(content)
    graph = model.subgraphs[0]
    for op in graph.operators:
        if model.operatorCodes[op.opcodeIndex].customCode == lut.OP:
            for index in (*op.inputs[1::2], *op.outputs):
                graph.tensors[index].name = None
            for index in op.inputs[::2]:  # Places in tables have no scale.
                graph.tensors[index].quantization = None
    return provenance.packed(model, len(content))


def _constants(content):
    """The bytes of all constants that ops take, in the order of the ops."""
    model = tflite.unpack(content)
    graph = model.subgraphs[0]
    taken = [
        model.buffers[graph.tensors[index].buffer].data
        for op in graph.operators
        for index in op.inputs
        if index >= 0  # An optional input may be missing.
    ]
    return [None if data is None else bytes(data) for data in taken]


def compare(plain: bytes, file: bytes, inputs: np.ndarray) -> dict[str, float]:
    """Compares two files in TFLite Micro's interpreter, on the same inputs.

    Args:
        plain: The file without tables.
        file: The file with tables.
        inputs: Real inputs, as `interpreter.predict` takes them.

    Returns:
        As `distill.measure.parity.compare`, in the units of the outputs.

    Raises:
        FinishError: If TFLite Micro does not run one of them.
    """
    outputs = [_run(content, inputs).astype(np.float64) for content in (plain, file)]
    difference = np.abs(outputs[1] - outputs[0])
    return {
        "examples": len(inputs),
        "max": float(difference.max()),
        "mean": float(difference.mean()),
        "scale": float(np.abs(outputs[0]).max()),
    }


def _run(content, inputs):
    """The outputs of a file in TFLite Micro, in the type that it stores."""
    (takes,), _ = graphs.Graph(content).ends()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "made.tflite"
        path.write_bytes(content)
        tried = trial.run(path, interpreter.quantize_for(inputs, takes))
    if tried.outputs is None:
        raise FinishError(f"TFLite Micro does not run the file: {tried.reason}")
    return tried.outputs
