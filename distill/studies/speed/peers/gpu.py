"""KD and LIT on one GPU, beside compiled PyTorch.

This project runs on JAX here; nothing needs TensorFlow. Compiling takes most of the
time: all batch sizes, precisions and networks compile at once, each in a separate
process, and are then timed in turn, as in `peers`. The remaining time is used for
training. After each result, the file of `--json` has all results so far.
"""

import argparse
import contextlib
import dataclasses
import functools
import itertools
import json
import os
import pathlib
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from distill import config
from distill.config import hardware
from distill.runtime import errors, files, progress, versions
from distill.runtime.process import command
from distill.studies.speed import peers
from distill.studies.speed.peers import roofline, worker
from distill.studies.speed.peers.learning import LATE, Learning
from distill.studies.speed.peers.turns import Turns

# What the LIT paper compares, with the shortcuts that all peers implement.
CONFIG = "lit_resnet_cifar10.yaml"
SHORTCUTS = tuple(
    f"{role}.options.shortcut=projection" for role in ("teacher.network", "student")
)

TIMED = 0.6  # Share of the time until timing ends; the rest is for training.
COMPILED = 0.45  # Share of the time until which those that are ready wait for others.
_CACHE = "JAX_COMPILATION_CACHE_DIR"  # Shared by all processes.
_END = 10.0  # Seconds that are reserved for the end.
_LEARNING = "learning"


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.studies.speed.peers.gpu`. Returns the exit code."""
    flags = argparse.ArgumentParser(
        prog="python -m distill.studies.speed.peers.gpu",
        description=__doc__.split("\n")[0],
    )
    flags.add_argument("--config", default=CONFIG, help=f"default: {CONFIG}")
    command.add_set_flag(flags)
    flags.add_argument("--batches", type=int, nargs="+", default=[128, 512, 2048])
    flags.add_argument(
        "--precisions",
        nargs="+",
        choices=roofline.PRECISIONS,
        default=["mixed_bfloat16"],
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
    flags.add_argument(
        "--learning-batch",
        type=int,
        default=512,
        help="images in a step of learning; default: 512",
    )
    flags.add_argument("--json", type=pathlib.Path, help="also write the numbers there")
    return command.run_command(_command, flags, argv)


def _command(arguments):
    clock = _Clock(time.monotonic(), 60 * arguments.minutes)
    _check(arguments)
    run = config.load(arguments.config, [*SHORTCUTS, *arguments.set])
    peers.check(run)
    card = roofline.card_name()
    cells = [*itertools.product(arguments.batches, arguments.precisions)]
    result = {
        "card": card,
        "peaks": arguments.peak or roofline.peaks(card),
        "versions": versions.versions(),
        "run": config.plain(run),
        "cells": [{**_place(_run(run, *cell)), "error": LATE} for cell in cells],
        "learned": {"networks": [], "error": LATE},
    }

    writing = threading.Lock()

    def keep():
        # One thread at a time: else an earlier state could be written last.
        if arguments.json is not None:
            with writing:
                files.atomic_write(arguments.json, json.dumps(result, indent=1))

    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        environment = _environment(folder)
        turns = Turns([*cells, _LEARNING], clock.at(COMPILED))
        learner = _run(run, arguments.learning_batch, arguments.precisions[0])
        ends = {"compiled": clock.at(COMPILED), "end": clock.at(1) - _END}
        learning = _learning(learner, folder, environment, ends)
        if learning is not None:
            stack.enter_context(learning)
            _start(lambda: (learning.wait(), turns.mark_ready(_LEARNING)))
        else:
            turns.mark_ready(_LEARNING)
            name = config.name_of(run.data)
            result["learned"]["error"] = f"{name}.npz is not in DISTILL_DATA"
        terms = worker.Terms(
            ("pytorch_compiled",),
            # Of float32 too: other kernels choose other algorithms.
            worker.HALF_TOLERANCE,
            environment,
            clock.at(TIMED),
            alone=True,
        )

        def fill(index):
            cell = cells[index]
            turn = functools.partial(turns.take_turn, cell)
            try:
                timed = _cell(_run(run, *cell), arguments, terms._replace(turn=turn))
            finally:  # Perhaps before its turn.
                turns.mark_ready(cell)
            result["cells"][index] = timed
            keep()

        for thread in [_start(fill, index) for index in range(len(cells))]:
            thread.join()
        if learning is not None:
            for learned in learning.go():
                result["learned"] = learned
                keep()
    keep()
    print(roofline.table(result))
    return 0


class _Clock(NamedTuple):
    """The start, by `time.monotonic`, and the seconds of the whole measurement."""

    begun: float
    whole: float

    def at(self, share):
        """The time at which a share of the seconds is over."""
        return self.begun + share * self.whole


def _check(arguments):
    for name in ("rounds", "steps", "minutes", "batches", "peak", "learning_batch"):
        value = getattr(arguments, name)
        if (
            value is not None
            and min(value if isinstance(value, list) else [value]) <= 0
        ):
            flag = f"--{name.replace('_', '-')}"
            raise errors.ConfigError(f"{flag} must be above 0. Received: {value}")
    command.check_written(arguments.json)


def _environment(folder):
    """Environment variables of all processes; an existing cache is used."""
    return {
        "KERAS_BACKEND": os.environ.get("KERAS_BACKEND", "jax"),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # The peer needs memory, too.
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        _CACHE: os.environ.get(_CACHE, str(folder)),
    }


def _start(work, *arguments):
    """Calls a function in a thread that does not delay the end of this process."""
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


def _run(run, batch_size, precision):
    """The run with a batch size and a precision, on one compiled device."""
    part = hardware.Hardware(precision=precision, jit="true", strategy="one_device")
    return dataclasses.replace(run, batch_size=batch_size, hardware=part)


def _place(run):
    return {"batch_size": run.batch_size, "precision": run.hardware.precision}


def _cell(run, arguments, terms):
    """The result of `peers.side_by_side` for one cell, or an error."""
    cell = _place(run)
    how = {"rounds": arguments.rounds, "steps": arguments.steps}
    try:
        timed = peers.side_by_side(run, **how, threads=versions.cores(), terms=terms)
    except RuntimeError as error:
        return {**cell, "error": LATE if time.monotonic() > terms.end else str(error)}
    for method in timed["methods"]:
        rates = {
            who: run.batch_size / statistics.median(seconds)
            for who, seconds in method["seconds"].items()
        }
        speeds = ", ".join(f"{who} {rate:.0f}" for who, rate in rates.items())
        what = f"{method['name']}, {run.batch_size} in {run.hardware.precision}"
        progress.say(f"    {what}: {speeds} images/s")
    return {**cell, **timed}


def _learning(run, folder, environment, ends):
    """The process that trains networks; None without the data."""
    if getattr(run.data, "file", folder) is None:
        return None
    file = folder / "run.yaml"
    file.write_text(config.dump(run))
    return Learning(file, folder, environment, **ends)


if __name__ == "__main__":
    raise SystemExit(main())
