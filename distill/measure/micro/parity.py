"""Compares a file's outputs in TFLite Micro with those in LiteRT, and with labels."""

import pathlib
from collections.abc import Sequence

import numpy as np

from distill import data
from distill.measure import accuracy, graph, interpreter
from distill.measure.end import End
from distill.measure.micro import trial

# Multiply-accumulates that a file may take in all, some minutes: of a larger network
# fewer examples are run.
_WORK = 2 * 10**11
EXAMPLES = 8  # Random ones, for a file without data.
_RANDOM = ("float32", "int8", "uint8", "int16", "int32", "int64")  # Types of inputs.


def record(path: pathlib.Path, split: data.Split, macs: int) -> dict:
    """Measures a file in TFLite Micro, for its entry in the report's `models`.

    Args:
        path: A `.tflite` file that LiteRT can run.
        split: The examples, of which a stratified sample is run if all would take long.
        macs: Multiply-accumulates of the file for one input.

    Returns:
        `arena_bytes`, None if the file does not run; and `micro`: `build`, the build
        that was measured; `lacking` and `reason`, see `trial.Trial`; `head_bytes` and
        `tail_bytes` of the arena; `examples`, their number; `accuracy` on them, in
        percent; `agreement_with_litert`, the percentage of equal classes; and the
        largest difference of a logit from LiteRT's: `largest_difference`, and
        `largest_steps`, in steps of the output's scale, None if it has no scale. All
        numbers are None if the file does not run.
    """
    split = split.sample(max(1, _WORK // max(1, macs)), seed=0)
    inputs = split.floats()
    runner = interpreter.Runner(path, inputs[:1].shape, 1)
    made = trial.run(path, runner.quantize(inputs))
    numbers = dict.fromkeys(
        ("accuracy", "agreement_with_litert", "largest_difference", "largest_steps")
    )
    if made.outputs is not None:
        answers = runner.dequantize(made.outputs)
        numbers = {
            "accuracy": accuracy.accuracy(answers, split) if split.has_labels else None,
            **compare(path, answers, interpreter.predict(path, inputs)),
        }
    return {
        "arena_bytes": made.arena_bytes,
        "micro": {
            "build": trial.build(),
            "lacking": list(made.lacking),
            "reason": made.reason,
            "head_bytes": made.head_bytes,
            "tail_bytes": made.tail_bytes,
            "examples": len(inputs),
            **numbers,
        },
    }


def random_record(path: pathlib.Path, ends: Sequence[End]) -> dict:
    """Runs a file of which nothing else is known on random inputs.

    Args:
        path: A `.tflite` file, which may be foreign.
        ends: Its inputs.

    Returns:
        `trial.Trial.facts`; `build`; and compared with LiteRT, `examples`,
        `agreement_with_litert`, `largest_difference` and `largest_steps`, as in
        `record`; `examples` is 0, and the others are missing, if one of the two does
        not run it, or if it has several inputs.
    """
    known = len(ends) == 1 and ends[0].dtype in _RANDOM
    inputs = _random_inputs(ends[0]) if known else None
    made = trial.run(path, inputs)
    found = {**made.facts(), "build": trial.build(), "examples": 0}
    if inputs is None or made.outputs is None:
        return found
    try:
        runner = interpreter.Runner(path, inputs[:1].shape, 1)
        expected = np.concatenate([runner(example[None]) for example in inputs])
    except (RuntimeError, ValueError):  # LiteRT lacks ops that TFLite Micro has.
        return found
    answers = (runner.dequantize(each) for each in (made.outputs, expected))
    return {**found, "examples": len(inputs), **compare(path, *answers)}


def _random_inputs(end):
    """Numbers in [0, 1] for floats, else whatever the type can hold; ids are 0."""
    rng, size = np.random.default_rng(0), (EXAMPLES, *end.shape[1:])
    if end.dtype == "float32":
        return rng.random(size, np.float32)
    if end.scale is None:
        return np.zeros(size, end.dtype)
    kind = np.iinfo(end.dtype)
    return rng.integers(kind.min, kind.max, size, end.dtype, endpoint=True)


def compare(
    path: pathlib.Path, answers: np.ndarray, expected: np.ndarray
) -> dict[str, float | int | None]:
    """Compares the logits of two interpreters.

    Args:
        path: The file.
        answers: Those of TFLite Micro, float32, `(n, classes)`.
        expected: Those of LiteRT, as `answers`.

    Returns:
        See `record`.
    """
    equal = accuracy.classes(answers) == accuracy.classes(expected)
    difference, step = float(np.abs(answers - expected).max()), _output_step(path)
    return {
        "agreement_with_litert": 100 * float(np.mean(equal)),
        "largest_difference": difference,
        "largest_steps": round(difference / step) if step else None,
    }


def _output_step(path):
    """What one step of a file's output is; None if it is computed in float."""
    file = graph.Graph(path.read_bytes(), path)
    (index, *_) = file.outputs
    made = file.producer(index)
    # A file of integers that gives floats converts them last.
    if made is not None and file.name(made) == "DEQUANTIZE":
        (index,) = made.inputs
    return file.end(index).scale
