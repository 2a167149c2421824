"""Trains a few steps of every stage of a run in a separate process, `pace`."""

import json
import math
import pathlib
import subprocess
import tempfile
from collections.abc import Mapping

from distill import config
from distill.runtime.process import death, memory, python

SECONDS = 0.1  # Interval between two checks of a process's memory.


def run(
    run: config.Run,
    steps: int,
    *,
    limit: float = math.inf,
    environment: Mapping[str, str] | None = None,
) -> dict:
    """Measures a run's stages in a new process.

    Args:
        run: The run; see `pace.trained_stages`.
        steps: Number of timed steps of each stage, after the warm-up.
        limit: Bytes of memory; a process that uses more is stopped.
        environment: Environment variables for the process, beside this one's.

    Returns:
        `images_per_second` of the whole training, where stages are weighted by their
        epochs; `peak_memory_bytes` of the process; `examples`, the number of training
        examples; and `stages`, for each its `network`, `name` and `images_per_second`.
        If the process measured nothing, only `ended`, the reason.

    Raises:
        Killed: If the process died by a signal, except because of `limit`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "run.yaml"
        path.write_text(config.dump(run))
        errors = path.with_suffix(".log")
        with (
            errors.open("w") as log,
            subprocess.Popen(
                python.command("distill.studies.speed.pace", path, steps),
                stdout=subprocess.PIPE,
                # A file and not a pipe: a full pipe would block the process.
                stderr=log,
                env=python.environment(**(environment or {})),
                text=True,
            ) as process,
        ):
            try:
                answer = _watched(process, limit)
            finally:
                process.kill()
        if answer is None:
            return {"ended": f"took more than {limit / 1e9:.1f} GB"}
        death.check(process.returncode, f"training in batches of {run.batch_size}")
        if process.returncode:
            lines = errors.read_text().strip().splitlines()[-1:]
            why = " ".join(lines).removeprefix("error: ")
            return {"ended": why or f"ended by {process.returncode}"}
    # The last line: libraries print to standard output, too.
    return json.loads(answer.splitlines()[-1])


def stage_names(result: dict) -> list[str]:
    """Headers of a table's columns for the stages of a result of `run`."""
    return [f"{stage['network']}: {stage['name']}" for stage in result["stages"]]


def stage_rates(result: dict) -> list[float]:
    """The values below `stage_names`: images per second."""
    return [stage["images_per_second"] for stage in result["stages"]]


def _watched(process, limit):
    """The output of a process; None if it was stopped because of its memory."""
    while True:
        try:
            return process.communicate(timeout=SECONDS)[0]
        except subprocess.TimeoutExpired:
            if memory.resident_bytes(process.pid) > limit:
                process.kill()
                process.communicate()
                return None
