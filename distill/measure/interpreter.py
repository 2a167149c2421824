"""Runs a `.tflite` file: its answers, and how long they take."""

import gc
import os
import pathlib
import time

import numpy as np

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
            run = _Runner(path, batch.shape, os.cpu_count() or 1)
        answers.append(run.real(run(run.stored(batch))))
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
    run = _Runner(path, example.shape, threads)
    example = run.stored(example)  # As a user of eight bits has it already.
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
        _Runner(path, shape, 1)
    except ValueError:
        return False
    return True


class _Runner:
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
