"""What is made of a trained student: files that ship, each with a promise.

TF-MOT lives in a process of its own, `distill.finish.child`: importing it
can turn `tf.keras` into Keras 2 for a whole process. This package is the front,
and imports neither.
"""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import typing
from collections.abc import Sequence

from distill.finish.calibrate import Int8Calibrated, Int16x8
from distill.finish.cluster import (
    Clustered,
    ClusteredInt8,
    PrunedClustered,
    PrunedClusteredInt8,
)
from distill.finish.conversions import DynamicInt8, Float16, Float32
from distill.finish.finisher import Finisher
from distill.finish.four_bits import DynamicInt4
from distill.finish.narrow import Narrowed, NarrowedInt8
from distill.finish.prune import Pruned, PrunedInt8
from distill.finish.quantize import Int8
from distill.runtime import errors, progress
from distill.runtime.process import signals
from distill.runtime.process.command import IN_CHILD

__all__ = [
    "FINISHERS",
    "FinishError",
    "Finisher",
    "diagnose",
    "main",
    "missing",
    "ready",
    "run",
    "searched",
    "to_tf_keras",
]

FINISHERS = {
    "float32": Float32,
    "float16": Float16,
    "dynamic_int8": DynamicInt8,
    "dynamic_int4": DynamicInt4,
    "int8_calibrated": Int8Calibrated,
    "int16x8": Int16x8,
    "int8": Int8,
    "pruned": Pruned,
    "pruned_int8": PrunedInt8,
    "clustered": Clustered,
    "clustered_int8": ClusteredInt8,
    "pruned_clustered": PrunedClustered,
    "pruned_clustered_int8": PrunedClusteredInt8,
    "narrowed": Narrowed,
    "narrowed_int8": NarrowedInt8,
}

EXPLAINED = range(1, 64)  # Exit codes that follow a line of the process' own.


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.finish`; see `distill.finish.command`."""
    from distill.finish import command

    return command.main(argv)


def to_tf_keras(model: typing.Any) -> typing.Any:
    """The tf_keras twin of a Keras 3 model, for TF-MOT and whatever else wants one.

    Nested models are inlined, shared layers stay shared, operations that are no
    layers become layers. The two are compared on made inputs.

    Args:
        model: A functional `keras.Model`, or a built `Sequential`; with any
            structure of inputs and outputs.

    Returns:
        A functional `tf_keras.Model` from and to the same structures, without
        regularizers, constraints and initializers.

    Raises:
        ValueError: A `distill.finish.twin.NoTwin`, which names every layer that
            tf_keras has no counterpart of, and why; or by how much the twin
            answers otherwise.
    """
    from distill.finish import twin

    made = twin.to_tf_keras(model, output=None)
    twin.check_equal(model, made, twin.examples(model, 4), output=None)
    return made


def ready(folder: pathlib.Path) -> list[dict]:
    """The files of a run folder, made unless they are there.

    Args:
        folder: The run's folder.

    Returns:
        One record a file, as in `report.json`.

    Raises:
        As `run` does.
    """
    made = folder / "finish.json"
    if not made.exists():
        with progress.step("finish", "prune, quantize, export, in a process apart"):
            run(folder)
    return json.loads(made.read_text())


def missing() -> list[str]:
    """Packages that finishing needs and this machine lacks; it may train without."""
    needed = ("tensorflow", "tf_keras", "tensorflow_model_optimization")
    return [name for name in needed if importlib.util.find_spec(name) is None]


def run(folder: pathlib.Path) -> None:
    """Finishes the student of a run folder, in a process apart.

    Reads `run.yaml`, `student.keras` and, if it is there, `teacher.keras`; writes
    the `.tflite` files and `finish.json`. Files that are there already are kept.

    Args:
        folder: The run's folder.

    Raises:
        FinishError: If the process was killed, or failed without a word.
        Stopped: If a signal came; the process has saved its work.
        SystemExit: With the exit code of a process that has said what failed.
    """
    try:
        _apart("finish", folder)
    except errors.FinishError as mistake:
        raise errors.FinishError(
            f"{mistake}; what was finished is kept, and the same command goes on "
            "from there"
        ) from None


def searched(folder: pathlib.Path) -> dict:
    """What keeps the budget of a run, searched unless it was found before.

    Reads `search/run.yaml`, `student.keras` and, if it is there, `teacher.keras`;
    writes `search.json`.

    Args:
        folder: The run's folder.

    Returns:
        As `distill.finish.search.search` does.

    Raises:
        As `run` does.
    """
    path = folder / "search.json"
    if not path.exists() or json.loads(path.read_text())["winner"] is None:
        with progress.step("search", "short finishes, in a process apart"):
            _apart("search", folder)
    return json.loads(path.read_text())


def diagnose(network: typing.Any) -> dict:
    """What can be done with each layer of a network; tried in a process apart.

    Args:
        network: A built `keras.Model`; it need not be trained.

    Returns:
        As `distill.finish.diagnosis.diagnose` does.

    Raises:
        As `run` does.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "network.keras"
        network.save(path)
        _apart("diagnose", path)
        return json.loads(path.with_suffix(".json").read_text())


def _apart(task, path):
    """Runs a task of `distill.finish.child`, and hands on how it ended."""
    packages = str(pathlib.Path(__file__).resolve().parents[2])
    search = os.pathsep.join(filter(None, [packages, os.environ.get("PYTHONPATH")]))
    chosen = {IN_CHILD: "1", "TF_USE_LEGACY_KERAS": "1", "KERAS_BACKEND": "tensorflow"}
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "distill.finish.child", task, str(path)],
        env={**os.environ, **chosen, "PYTHONPATH": search},
        stdin=subprocess.PIPE,  # Its end tells the child that this process is gone.
        start_new_session=True,  # Ctrl-C comes here alone, and is handed on once.
    )
    try:
        with signals.deferred(forward=child.send_signal):
            code = child.wait()
    finally:
        child.kill()
        child.communicate()
    if code in EXPLAINED:
        raise SystemExit(code)
    if code:
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        raise errors.FinishError(f"the process for {task} of {path} stopped ({how})")
