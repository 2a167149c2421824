"""A few steps of every stage of a run, in a process of its own, `pace`."""

import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping

from distill import config
from distill.runtime.process import death, memory

SECONDS = 0.1  # Between two looks at what a process holds.


def run(
    run: config.Run,
    steps: int,
    *,
    limit: float = math.inf,
    environment: Mapping[str, str] | None = None,
) -> dict:
    """What one process found, or `ended`, why it found nothing.

    Args:
        run: What is trained; see `pace.trained_stages`.
        steps: Timed of each stage, after those that warm up.
        limit: Bytes; a process that holds more is ended.
        environment: Its variables, beside this process's.

    Returns:
        `images_per_second` of the whole training, every stage weighing as much as it
        has epochs, `peak_memory_bytes`, of the process, `examples`, how many there are
        to train with, and `stages`, of each `network`, `name` and `images_per_second`.

    Raises:
        Killed: If the process died by a signal, for another reason than `limit`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "run.yaml"
        path.write_text(config.dump(run))
        errors = path.with_suffix(".log")
        with (
            errors.open("w") as log,
            subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "distill.studies.speed.pace",
                    str(path),
                    str(steps),
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **(environment or {})},
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
            said = errors.read_text().strip().splitlines()[-1:]
            why = " ".join(said).removeprefix("error: ")
            return {"ended": why or f"ended by {process.returncode}"}
    return json.loads(answer.splitlines()[-1])


def stage_names(found: dict) -> list[str]:
    """Heads of a table's columns of `stages`."""
    return [f"{stage['network']}: {stage['name']}" for stage in found["stages"]]


def stage_rates(found: dict) -> list[float]:
    """What stands under `stage_names`: images per second."""
    return [stage["images_per_second"] for stage in found["stages"]]


def _watched(process, limit):
    """What a process prints; None if it was ended for what it held."""
    while True:
        try:
            return process.communicate(timeout=SECONDS)[0]
        except subprocess.TimeoutExpired:
            if memory.held(process.pid) > limit:
                process.kill()
                process.communicate()
                return None
