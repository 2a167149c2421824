"""Inputs with the outputs that a device must give for them."""

import dataclasses
import pathlib

import numpy as np

from distill.measure import interpreter
from distill.measure.end import End
from distill.measure.micro import trial
from distill.runtime import packages

COUNT = 8
# Largest difference that counts as equal, as a share of the range of all outputs.
# LiteRT's reference kernels round like TFLite Micro's in nearly all ops, not in all: a
# softmax of eight bits at the end differed by up to 10 of 255 steps.
_SHARE = 1 / 16
# Floats of TFLite Micro itself: another processor may fuse a product and a sum.
_FLOAT_SHARE = 1 / 1000


@dataclasses.dataclass(frozen=True)
class Golden:
    """Inputs and outputs in the types that the file takes and gives.

    Attributes:
        inputs: One row for each example, `(COUNT, entries of an input)`.
        outputs: The same for outputs.
        tolerance: Largest difference of an output that counts as equal, in the units
            of `outputs`.
        drawn: What the inputs are, in words.
        runtime: What computed the outputs, in words.
        arena_bytes: Bytes of TFLite Micro's arena that the file needs on this machine;
            None if TFLite Micro is not installed.
    """

    inputs: np.ndarray
    outputs: np.ndarray
    tolerance: float
    drawn: str
    runtime: str
    arena_bytes: int | None = None


def make(path: pathlib.Path, takes: End, examples: np.ndarray | None) -> Golden:
    """Computes the outputs of a file for `COUNT` inputs.

    With TFLite Micro where it is installed, else with LiteRT's reference kernels.

    Args:
        path: The file; it has one input, of one example, and one output.
        takes: Its input.
        examples: Inputs as `interpreter.predict` takes them; None draws numbers.

    Raises:
        ValueError: If the file cannot be run on them, or gives numbers that are not
            finite.
    """
    if examples is not None and examples.shape[1:] != takes.shape[1:]:
        raise ValueError(
            f"it takes {takes.shape[1:]}, and the examples of --config are "
            f"{examples.shape[1:]}"
        )
    if examples is None:
        inputs, drawn = _draw(takes), "random numbers of the whole input range"
    else:
        inputs, drawn = (
            interpreter.quantize_for(examples, takes),
            f"{len(examples)} test examples",
        )
    by_micro = not packages.missing(packages.MICRO)
    run = _run_micro if by_micro else _run_litert
    outputs, arena_bytes = run(path, inputs)
    if not np.isfinite(outputs).all():
        raise ValueError("it gives numbers that are not finite")
    share = _SHARE
    if by_micro:
        share = _FLOAT_SHARE if outputs.dtype.kind == "f" else 0
    return Golden(
        inputs=inputs.reshape(len(inputs), -1),
        outputs=outputs.reshape(len(outputs), -1),
        tolerance=share * (float(outputs.max()) - float(outputs.min())),
        drawn=drawn,
        runtime=f"TFLite Micro ({trial.build()})"
        if by_micro
        else "LiteRT's reference kernels",
        arena_bytes=arena_bytes,
    )


def _run_micro(path, inputs):
    """The outputs by TFLite Micro, and the bytes of its arena."""
    tried = trial.run(path, inputs)
    if tried.outputs is None:
        raise ValueError(f"TFLite Micro does not run it: {tried.reason}")
    return tried.outputs, tried.arena_bytes


def _run_litert(path, inputs):
    """The outputs by LiteRT, which has no arena."""
    run = interpreter.Runner(path, (1, *inputs.shape[1:]), 1, reference=True)
    return np.concatenate([run(example[None]) for example in inputs]), None


def _draw(takes):
    """Random inputs: of floats in [0, 1), of eight bits every value."""
    generator, shape = np.random.default_rng(0), (COUNT, *takes.shape[1:])
    if takes.dtype == "float32":
        return generator.random(shape, np.float32)
    if takes.scale is None:
        raise ValueError(
            f"its inputs are {takes.dtype} without a scale, ids perhaps, of which none "
            "can be drawn: name the config of its data with --config"
        )
    kind = np.iinfo(takes.dtype)
    return generator.integers(kind.min, kind.max, shape, takes.dtype, endpoint=True)
