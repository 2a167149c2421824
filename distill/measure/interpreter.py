"""Runs a `.tflite` file: its answers, and how long they take."""

import gc
import os
import pathlib
import time

import numpy as np
from ai_edge_litert import interpreter

from distill.runtime import versions

BATCH = 64  # Images at once where only answers are wanted.


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
