"""Times KD and LIT on one GPU, compared with compiled PyTorch.

This project runs on JAX here; nothing needs TensorFlow. For each batch size and
precision both are timed in turn, as in `peers`. The remaining time is used for
training.
"""

import argparse
import dataclasses
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from distill import config
from distill.config import hardware
from distill.runtime import errors, files, progress, versions
from distill.runtime.process import command, death
from distill.studies.speed import peers
from distill.studies.speed.peers import roofline, worker

# The networks of the LIT paper, with the shortcuts that all peers implement.
CONFIG = "lit_resnet_cifar10.yaml"
SHORTCUTS = tuple(
    f"{role}.options.shortcut=projection" for role in ("teacher.network", "student")
)

# Relative to a loss, after three steps with other kernels and fewer digits. On a CPU,
# `distill.benchmark --peers` checks to 1e-4 that the losses are the same.
TOLERANCE = 0.05
TIMED = 0.6  # Share of the time in which steps are timed; the rest is for training.
LATE = "no time was left; see --minutes"
_END = 10.0  # Seconds that are reserved for printing and writing the result.


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.studies.speed.peers.gpu`. Returns the exit code."""
    flags = argparse.ArgumentParser(
        prog="python -m distill.studies.speed.peers.gpu",
        description=__doc__.split("\n")[0],
    )
    flags.add_argument("--config", default=CONFIG, help=f"default: {CONFIG}")
    command.add_set_flag(flags)
    flags.add_argument("--batches", type=int, nargs="+", default=[128, 512])
    flags.add_argument(
        "--precisions",
        nargs="+",
        choices=roofline.PRECISIONS,
        default=[*roofline.PRECISIONS],
    )
    flags.add_argument("--rounds", type=int, default=5, help="default: 5")
    flags.add_argument("--steps", type=int, default=30, help="a round; default: 30")
    flags.add_argument(
        "--minutes", type=float, default=7.5, help="in all; default: 7.5"
    )
    flags.add_argument(
        "--peak",
        type=float,
        nargs=2,
        metavar="TFLOPS",
        help="of the chip, in bfloat16 and in float32; default: of a known card",
    )
    flags.add_argument("--json", type=pathlib.Path, help="also write the numbers there")
    return command.run_command(_command, flags, argv)


def _command(arguments):
    end = time.monotonic() + 60 * arguments.minutes - _END
    for name in ("rounds", "steps", "minutes", "batches", "peak"):
        given = getattr(arguments, name)
        if (
            given is not None
            and min(given if isinstance(given, list) else [given]) <= 0
        ):
            raise errors.ConfigError(f"--{name} must be above 0. Received: {given}")
    command.check_written(arguments.json)
    run = config.load(arguments.config, [*SHORTCUTS, *arguments.set])
    peers.check(run)
    card = roofline._card()
    result = {
        "card": card,
        "peaks": arguments.peak or roofline.peaks(card),
        "versions": versions.versions(),
        "run": config.plain(run),
    }
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "KERAS_BACKEND": os.environ.get("KERAS_BACKEND", "jax"),
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # The peer needs memory, too.
            "JAX_COMPILATION_CACHE_DIR": folder,  # Shared by the cells' processes.
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        result["cells"], slowest = [], 0.0
        for cell in itertools.product(arguments.batches, arguments.precisions):
            begun = time.monotonic()
            late = begun + slowest > end - (1 - TIMED) * 60 * arguments.minutes
            terms = worker.Terms(("pytorch",), TOLERANCE, environment, end)
            result["cells"].append(
                _cell(_run(run, *cell), arguments, None if late else terms)
            )
            slowest = max(slowest, time.monotonic() - begun)
        file = pathlib.Path(folder) / "run.yaml"
        widest = _run(run, max(arguments.batches), arguments.precisions[0])
        file.write_text(config.dump(widest))
        result["learned"] = _learned(widest, file, environment, end)
    print(roofline.table(result))
    if arguments.json is not None:
        files.atomic_write(arguments.json, json.dumps(result, indent=1))
    return 0


def _run(run, batch_size, precision):
    """The run of one cell: with its batch size, its precision, and XLA."""
    part = hardware.Hardware(precision=precision, jit="true", strategy="one_device")
    return dataclasses.replace(run, batch_size=batch_size, hardware=part)


def _cell(run, arguments, terms):
    """The result of `peers.side_by_side` for one cell, or its error."""
    found = {"batch_size": run.batch_size, "precision": run.hardware.precision}
    if terms is None:
        return {**found, "error": LATE}

    how = {"rounds": arguments.rounds, "steps": arguments.steps}
    try:
        timed = peers.side_by_side(run, **how, threads=versions.cores(), terms=terms)
    except RuntimeError as error:
        return {**found, "error": LATE if time.monotonic() > terms.end else str(error)}
    for method in timed["methods"]:
        rates = {
            who: run.batch_size / statistics.median(seconds)
            for who, seconds in method["seconds"].items()
        }
        shown = ", ".join(f"{who} {rate:.0f}" for who, rate in rates.items())
        what = f"{method['name']}, {run.batch_size} in {run.hardware.precision}"
        progress.say(f"    {what}: {shown} images/s")
    return {**found, **timed}


def _learned(run, file, environment, end):
    """What `accuracy` prints for each network, and why one is missing."""
    seconds = end - time.monotonic()
    if getattr(run.data, "file", file) is None:
        error = f"{run.data.name}.npz is not in DISTILL_DATA: steps saw random images"
        return {"networks": [], "error": error}
    if seconds < _END:
        return {"networks": [], "error": LATE}
    command = [
        sys.executable,
        "-m",
        "distill.studies.speed.peers.accuracy",
        file,
        f"{seconds:.0f}",
    ]
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as errors:
        error = None
        try:
            done = subprocess.run(
                command,
                env={**os.environ, **environment},
                stdout=said,
                stderr=errors,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            error = LATE
        else:
            errors.seek(0)
            last = errors.read().strip().split("\n")[-1]
            died = death.number(done.returncode)
            last = last if died is None else death.say(died)
            error = f"the process ended: {last}" if done.returncode else None
        said.seek(0)
        found = [json.loads(line) for line in said if line.startswith("{")]
    # If it is killed after its last line, nothing is missing.
    whole = len(found) == 2
    return {"networks": found, "error": None if whole else error}


if __name__ == "__main__":
    raise SystemExit(main())
