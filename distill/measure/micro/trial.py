"""Runs a file in TFLite Micro, in a process of its own, and says what came of it."""

import dataclasses
import importlib.metadata
import pathlib
import platform
import re
import subprocess
import tempfile
from typing import Any

import numpy as np

from distill.runtime import packages
from distill.runtime.process import death, python

_SECONDS = 1800
MARK = "==> "
RUN = "run"  # The part of the file itself; the others are called as its ops.
NO_OP = "PLACEHOLDER_FOR_GREATER_OP_CODES"  # A code that is never that of an op.
_NOT_FOUND = re.compile(r"Failed to get registration from op code (\w+)")
_ALLOCATED = re.compile(r"Arena allocation (head|tail) (\d+) bytes")
_FAILED = re.compile(r"Node (\w+) \(number (\d+)\) failed to")
_PLACE = re.compile(r"^\S+\.(cc|h)(:\d+)? ")  # The file of a kernel, in its message.


@dataclasses.dataclass(frozen=True)
class Trial:
    """What TFLite Micro made of a file.

    Attributes:
        lacking: Names of the file's ops that TFLite Micro does not have, each once.
        reason: Why the file does not run, in one line; None if it runs.
        arena_bytes: The least size of an arena in which the file runs, in bytes; None
            if it does not run, as the next two.
        head_bytes: Bytes at the arena's head, for activations, that ops share in turn.
        tail_bytes: Bytes at its tail that stay as long as the interpreter. Of small
            files, the start needs more than both.
        outputs: The file's outputs for each example, in the type that it stores;
            None if it does not run.
    """

    lacking: tuple[str, ...]
    reason: str | None = None
    arena_bytes: int | None = None
    head_bytes: int | None = None
    tail_bytes: int | None = None
    outputs: np.ndarray | None = None

    def facts(self) -> dict[str, Any]:
        """Everything but the outputs, as plain data."""
        return {name: value for name, value in vars(self).items() if name != "outputs"}


def require(what: str) -> None:
    """Checks that TFLite Micro is installed.

    Args:
        what: What needs it, for the message.

    Raises:
        ConfigError: If it is not; says how to install it.
    """
    packages.require(what, packages.MICRO)


def build() -> str:
    """The build that is measured, for readers: processor, kernels, version."""
    version = importlib.metadata.version("tflite-micro")
    return f"{platform.machine()} with reference kernels, {version}"


def run(path: pathlib.Path, inputs: np.ndarray | None = None) -> Trial:
    """Runs a file, which may be foreign: what its process dies of hurts nobody else.

    Args:
        path: The `.tflite` file, of one input.
        inputs: Examples in the type of the file's input, `(n, ...)`; None runs it once,
            on zeros.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, made = (pathlib.Path(folder) / f"{name}.npy" for name in ("in", "out"))
        if inputs is not None:
            np.save(given, inputs)
        try:
            done = _run_child([path, given if inputs is not None else "", made])
        except subprocess.TimeoutExpired:
            return Trial((), f"not done within {_SECONDS} s")
        *ops, (_, printed) = _parts(done.stderr)
        lacking = tuple(dict.fromkeys(name for name, text in ops if _lacks(text)))
        if done.returncode:
            return Trial(lacking, _reason(lacking, printed, done.returncode))
        sizes = {name: int(size) for name, size in _ALLOCATED.findall(printed)}
        return Trial(
            lacking,
            arena_bytes=int(done.stdout),
            head_bytes=sizes["head"],
            tail_bytes=sizes["tail"],
            outputs=np.load(made, allow_pickle=False),
        )


def _run_child(arguments):
    return subprocess.run(
        python.command("distill.measure.micro.child", *arguments),
        env=python.environment(),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_SECONDS,
        check=False,
    )


def _parts(stderr):
    """Name and text of each part of what the process wrote."""
    _, *parts = f"\n{stderr}".split(f"\n{MARK}")
    pairs = [part.partition("\n") for part in parts]
    return [(name, text) for name, _, text in pairs] or [(RUN, stderr)]


def _lacks(text):
    """Whether the search ended at this op, before the one that never exists."""
    found = _NOT_FOUND.search(text)
    return found is not None and found[1] != NO_OP


def _reason(lacking, printed, code):
    """Why a file does not run."""
    if lacking:
        return f"TFLite Micro has no {', '.join(lacking)}"
    if (died := death.number(code)) is not None:
        return f"its process was ended by {death.say(died)}"
    lines = [_PLACE.sub("", line).strip(" .") for line in printed.splitlines()]
    lines = [line for line in lines if line] or [f"exit code {code}"]
    # Of a traceback, the last line is the error.
    line = lines[-1 if any(x.startswith("Traceback") for x in lines) else 0]
    failed = _FAILED.search(printed)
    return f"op {failed[2]}, {failed[1]}: {line}" if failed else line
