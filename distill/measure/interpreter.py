"""Runs `.tflite` files: their answers, and how long they take."""

import functools
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from distill.measure import latency
from distill.runtime import quiet, versions

BATCH = 64  # Images at once where only answers are wanted.


def predict(path: pathlib.Path, inputs: np.ndarray) -> np.ndarray:
    """A file's answers.

    Args:
        path: The file.
        inputs: Images, float32 in [0, 1], `(n, height, width, channels)`; or ids,
            int32, `(n, length)`. A file that takes eight bits is given the images
            in these, and its answers are turned back.

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
            run = Runner(path, batch.shape, os.cpu_count() or 1)
        answers.append(run.real(run(run.stored(batch))))
    return np.concatenate(answers)


def latencies(
    paths: Sequence[pathlib.Path], example: np.ndarray, *, threads: int = 1
) -> dict[str, dict[str, Any]]:
    """How long each file takes for one input; the files take turns.

    Args:
        paths: The files.
        example: As in `predict`, one alone.
        threads: That the interpreter may use.

    Returns:
        Name of each file to its record: as `latency.timed`, and `threads`, `machine`.

    Raises:
        ValueError: If a file cannot be run on such an input.
    """
    runs = {}
    for path in paths:
        run = Runner(path, example.shape, threads)
        # As a user of eight bits has it already.
        runs[path.name] = functools.partial(run, run.stored(example))
    told = {"threads": threads, "machine": versions.machine()}
    return {name: {**record, **told} for name, record in latency.timed(runs).items()}


def _takes(path, shape):
    """Whether a file runs on such a batch; a reshape inside may bind it to one."""
    try:
        Runner(path, shape, 1)
    except ValueError:
        return False
    return True


class Runner:
    """Runs a file on inputs of one shape, from what it takes to what it gives."""

    def __init__(self, path, shape, threads):
        # Here, not at the top: where nothing is exported, it need not be installed.
        from ai_edge_litert import interpreter

        try:
            with quiet.native():
                self._model = interpreter.Interpreter(str(path), num_threads=threads)
            self._given = self._model.get_input_details()[0]
            self._made = self._model.get_output_details()[0]
            wanted = tuple(int(size) for size in self._given["shape"][1:])
            if wanted != tuple(shape[1:]):
                raise ValueError(f"expected inputs {wanted}. Received: {shape[1:]}")
            self._model.resize_tensor_input(self._given["index"], shape)
            with quiet.native():
                self._model.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"{path} cannot be run: {error}") from None

    def __call__(self, inputs):
        """What the file makes of inputs, both as it stores them."""
        self._model.set_tensor(self._given["index"], inputs)
        self._model.invoke()
        return self._model.get_tensor(self._made["index"])

    def stored(self, inputs):
        """Floats as the file's input has them."""
        return quantized(inputs, self._given)

    def real(self, outputs):
        """The numbers that the file's output stands for, float32."""
        scale, zero = self._made["quantization"]
        if outputs.dtype == np.float32 or not scale:
            return outputs
        return (np.float32(scale) * (outputs.astype(np.int32) - zero)).astype("float32")


def quantized(inputs: np.ndarray, details: dict) -> np.ndarray:
    """Floats as the input of a file has them, rounded as TFLite's `QUANTIZE` does.

    Args:
        inputs: float32; ids become floats where the file takes those, and stay else.
        details: Of the input, as an interpreter tells them.
    """
    scale, zero = details["quantization"]
    if details["dtype"] == np.float32:
        return inputs.astype(np.float32, copy=False)
    if not scale or inputs.dtype != np.float32:
        return inputs
    ratio = inputs / np.float32(scale)
    steps = np.trunc(ratio + np.copysign(np.float32(0.5), ratio)) + zero
    kind = np.iinfo(details["dtype"])
    return np.clip(steps, kind.min, kind.max).astype(details["dtype"])
