"""What is made of a trained student: files that ship, each with a promise.

TF-MOT lives in a process of its own, `python -m distill.finish`: importing it
can turn `tf.keras` into Keras 2 for a whole process. This package is the front,
and imports neither.
"""

import os
import pathlib
import subprocess
import sys

from distill import signals
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

__all__ = ["FINISHERS", "FinishError", "Finisher", "run"]

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


IN_CHILD = "DISTILL_IN_CHILD"  # Set for the finishing process.
EXPLAINED = range(1, 64)  # Exit codes that follow a line of the process' own.


class FinishError(RuntimeError):
    """The finishing process ended before its work was done."""


def run(folder: pathlib.Path) -> None:
    """Finishes the student of a run folder, in a process apart.

    Reads `run.yaml`, `teacher.keras` and `student.keras`; writes the `.tflite`
    files and `finish.json`. Files that are there already are kept.

    Args:
        folder: The run's folder.

    Raises:
        FinishError: If the process was killed, or failed without a word.
        Stopped: If a signal came; the process has saved its work.
        SystemExit: With the exit code of a process that has said what failed.
    """
    packages = str(pathlib.Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [packages, os.environ.get("PYTHONPATH")]))
    chosen = {IN_CHILD: "1", "TF_USE_LEGACY_KERAS": "1", "KERAS_BACKEND": "tensorflow"}
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "distill.finish", "--run", str(folder)],
        env={**os.environ, **chosen, "PYTHONPATH": path},
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
        raise FinishError(
            f"finishing {folder} stopped ({how}); what was finished is kept, and "
            "the same command goes on from there"
        )
