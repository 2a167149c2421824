"""Runs `.tflite` files: logits and latency."""

import functools
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from distill.measure import latency, lut
from distill.measure.end import End
from distill.runtime import quiet, versions

BATCH = 64  # Inputs in one pass if only the outputs matter.


def predict(path: pathlib.Path, inputs: np.ndarray) -> np.ndarray:
    """The logits of a file.

    Args:
        path: The file.
        inputs: Images, float32 in [0, 1], `(n, height, width, channels)`; or ids,
            int32, `(n, length)`. For a file with eight-bit inputs or outputs, these
            are quantized and dequantized.

    Returns:
        Logits, float32, `(n, classes)`.

    Raises:
        ValueError: If the file cannot be run on these inputs.
    """
    size = BATCH if _accepts(path, (BATCH, *inputs.shape[1:])) else 1
    logits, run = [], None
    for start in range(0, len(inputs), size):
        batch = inputs[start : start + size]
        # The last batch may be smaller, and needs tensors of its own size.
        if run is None or len(batch) != size:
            run = Runner(path, batch.shape, os.cpu_count() or 1)
        logits.append(run.dequantize(run(run.quantize(batch))))
    return np.concatenate(logits)


def latencies(
    paths: Sequence[pathlib.Path], example: np.ndarray, *, threads: int = 1
) -> dict[pathlib.Path, dict[str, Any]]:
    """Measures the latency of each file for one input; the files alternate.

    Args:
        paths: The files.
        example: One input, a batch of 1 as for `predict`.
        threads: Number of threads of the interpreter.

    Returns:
        Each file to its record: that of `latency.time_calls`, with `threads`
        and `machine`.

    Raises:
        ValueError: If a file cannot be run on this input.
    """
    runs = {}
    for path in paths:
        run = Runner(path, example.shape, threads)
        # Quantized before: a device that uses eight bits has such inputs already.
        runs[path] = functools.partial(run, run.quantize(example))
    conditions = {"threads": threads, "machine": versions.machine()}
    records = latency.time_calls(runs)
    return {path: {**record, **conditions} for path, record in records.items()}


def _accepts(path, shape):
    """Whether a file runs on such a batch; a reshape inside may fix its size."""
    try:
        Runner(path, shape, 1)
    except ValueError:
        return False
    return True


class Runner:
    """Runs a file on inputs of one shape, in the types that the file stores.

    Kernels stored as tables are unpacked first: LiteRT has no op for that.

    Args:
        path: The file.
        shape: The shape of the inputs, with the batch.
        threads: Number of threads.
        reference: Whether to run LiteRT's reference kernels, which are slow and round
            like those of TFLite Micro, instead of its fast ones.

    Raises:
        ValueError: If the file cannot be run on such inputs.
    """

    def __init__(self, path, shape, threads, reference=False):
        # Imported here: runs without export work where it is not installed.
        from ai_edge_litert import interpreter

        try:
            with quiet.native():
                kernels = interpreter.OpResolverType
                self._model = interpreter.Interpreter(
                    model_content=lut.expand(pathlib.Path(path).read_bytes()),
                    num_threads=threads,
                    experimental_op_resolver_type=kernels.BUILTIN_REF
                    if reference
                    else kernels.AUTO,
                )
            self._input = self._model.get_input_details()[0]
            self._output = self._model.get_output_details()[0]
            # LiteRT resizes every axis; only the batch may change.
            expected = tuple(int(size) for size in self._input["shape"][1:])
            if expected != tuple(shape[1:]):
                raise ValueError(f"expected inputs {expected}. Received: {shape[1:]}")
            self._model.resize_tensor_input(self._input["index"], shape)
            with quiet.native():
                self._model.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"{path} cannot be run: {error}") from None

    def __call__(self, inputs):
        """The file's outputs, in the types that the file stores."""
        # A recurrent op would go on from the example before.
        self._model.reset_all_variables()
        self._model.set_tensor(self._input["index"], inputs)
        self._model.invoke()
        return self._model.get_tensor(self._output["index"])

    def quantize(self, inputs):
        """Converts floats to the type of the file's input."""
        return quantize(inputs, self._input)

    def dequantize(self, outputs):
        """The numbers that the file's outputs represent, float32."""
        return dequantize(outputs, self._output)


def quantize_for(inputs: np.ndarray, takes: End) -> np.ndarray:
    """As `quantize`, for an input that was read without an interpreter."""
    scale = (takes.scale or 0.0, takes.zero_point or 0)
    details = {"dtype": np.dtype(takes.dtype).type, "quantization": scale}
    return quantize(inputs, details)


def quantize(inputs: np.ndarray, details: dict) -> np.ndarray:
    """Converts floats to the type of a file's input, rounded as TFLite's `QUANTIZE`.

    Args:
        inputs: float32; or ids, which become floats only if the file takes floats.
        details: The input's entry of the interpreter's `get_input_details`.
    """
    scale, zero = details["quantization"]
    if details["dtype"] == np.float32:
        return inputs.astype(np.float32, copy=False)
    if not scale or inputs.dtype != np.float32:
        return inputs
    # TFLite rounds halves away from zero, NumPy to the even neighbour.
    ratio = inputs / np.float32(scale)
    steps = np.trunc(ratio + np.copysign(np.float32(0.5), ratio)) + zero
    kind = np.iinfo(details["dtype"])
    return np.clip(steps, kind.min, kind.max).astype(details["dtype"])


def dequantize(outputs: np.ndarray, details: dict) -> np.ndarray:
    """The numbers that a file's outputs represent, float32.

    Args:
        outputs: In the type that the file stores.
        details: The output's entry of the interpreter's `get_output_details`.
    """
    scale, zero = details["quantization"]
    if outputs.dtype == np.float32 or not scale:
        return outputs
    return (np.float32(scale) * (outputs.astype(np.int32) - zero)).astype("float32")
