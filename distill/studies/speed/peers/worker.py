"""Starts and controls the process of one library, and times its steps."""

import contextlib
import json
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from distill.runtime.process import death, python

OWN = "own"
# Name to the package that it needs.
PEERS = {
    "pytorch": "torch",
    "pytorch_compiled": "torch",
    "keras_distillation": "keras",
}
CHECKED = 3  # Steps whose losses are compared. They also trace and fill caches.
TOLERANCE = 1e-4  # Relative to a loss; the rounding of float32 is far below.
HALF_TOLERANCE = 0.05  # In bfloat16, of which numbers have 8 bits.
PRODUCT = 2048  # Rows and columns of the matrices whose product is timed.

_THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


class Terms(NamedTuple):
    """Conditions of a measurement.

    Attributes:
        peers: Names of the `PEERS` that are timed beside this project.
        tolerance: The largest relative difference of two losses.
        environment: Environment variables for the processes, beside this one's.
        end: The time, by `time.monotonic`, at which running processes are killed.
        turn: A context that is entered for timing, once all have compiled.
        alone: Whether this project is timed also if a peer ends or differs.
    """

    peers: tuple[str, ...] = tuple(PEERS)
    tolerance: float = TOLERANCE
    environment: Mapping[str, str] = {}
    end: float | None = None
    turn: Callable[[], AbstractContextManager] = contextlib.nullcontext
    alone: bool = False


PLAIN = Terms()


def compare_losses(index, name, workers, terms=PLAIN):
    """Compares the losses of a stage's first steps in all workers with its method.

    Returns:
        Name to losses; and name of each worker that has ended, or computes other
        losses, to the reason.
    """
    able = {who: worker for who, worker in workers.items() if name in worker.methods}
    # All at the same time: the first steps compile, and are not timed.
    for worker in able.values():
        worker.send(stage=index, check=CHECKED)
    losses, out = {}, {}
    for who, worker in able.items():
        try:
            losses[who] = worker.answer()
            _compare(who, name, losses, terms.tolerance)
        except RuntimeError as error:
            if who == OWN or not terms.alone:
                raise
            out[who] = str(error)
    return losses, out


def _compare(who, name, losses, tolerance):
    pairs = zip(losses[OWN], losses[who], strict=True)
    if not all(abs(own - other) <= tolerance * abs(own) for own, other in pairs):
        raise RuntimeError(
            f"{who} computes another {name}: losses {losses[who]}, not {losses[OWN]}"
        )


def time_rounds(index, losses, workers, rounds, steps):
    """Times a stage's steps in turn, in all workers that compute its losses.

    A first round is not counted: some libraries are slow again after they have waited
    while others compiled.
    """
    able = {who: worker for who, worker in workers.items() if who in losses}
    clocks = {clock: {who: [] for who in able} for clock in ("seconds", "cpu_seconds")}
    for number in range(1 + rounds):
        for who, worker in able.items():
            timed = worker.ask(stage=index, steps=steps)
            for clock, value in timed.items() if number else ():
                clocks[clock][who].append(value)
    compared = {}
    for clock, found in clocks.items():
        # Per round first: a slow moment of the machine slows down both of a round.
        ratios = {
            who: [other / own for own, other in zip(found[OWN], values, strict=True)]
            for who, values in found.items()
            if who != OWN
        }
        name = f"{clock.removesuffix('seconds')}ratio"
        compared[name] = {
            who: statistics.median(rounds) for who, rounds in ratios.items()
        }
        compared[f"{name}_range"] = {
            who: [min(rounds), max(rounds)] for who, rounds in ratios.items()
        }
    return {"losses": losses, **clocks, **compared}


def format_ratio(method: dict, name: str, peer: str) -> str:
    """A median ratio with the range of its rounds; empty for this project itself.

    Of seven rounds, the range holds the true median in 98 of 100 cases.

    Args:
        method: An entry of the `methods` of `peers.side_by_side`.
        name: `ratio` or `cpu_ratio`.
        peer: Name of who was timed.
    """
    if peer not in method[name]:
        return ""
    least, most = method[f"{name}_range"][peer]
    return f"{method[name][peer]:.2f} ({least:.2f} to {most:.2f})"


def time_products(workers, rounds):
    """The fastest product of two matrices by any worker, in operations per second."""
    seconds = [
        worker.ask(product=PRODUCT)
        for _ in range(rounds)
        for worker in workers.values()
    ]
    return 2 * PRODUCT**3 / min(seconds)


class Worker:
    """A process that answers each line of JSON with another; see `child`."""

    def __init__(self, name, folder, threads, terms=PLAIN):
        environment = dict.fromkeys(_THREADS, str(threads)) | dict(terms.environment)
        # A file and not a pipe, which nobody reads while a step is timed.
        self._errors = (folder / f"{name}.log").open("w+")
        self._process = subprocess.Popen(
            python.command("distill.studies.speed.peers.child", name, folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=python.environment(**environment),
            text=True,
        )
        self._name = name
        left = 0.0 if terms.end is None else terms.end - time.monotonic()
        self._end = threading.Timer(left, self._process.kill)
        self._end.daemon = True
        if terms.end is not None:
            self._end.start()
        try:
            ready: Any = self.answer()
        except BaseException:  # Also Ctrl-C: `__exit__` is not called for `__init__`.
            self.__exit__()
            raise
        self.costs, self.methods = ready["costs"], ready["methods"]
        self.package = ready["package"]

    def __enter__(self):
        """Returns itself: the process is running already."""
        return self

    def __exit__(self, *_):
        """Kills the process."""
        self._end.cancel()
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        with contextlib.suppress(OSError):  # Unsent data cannot be written any more.
            self._process.stdin.close()
        self._errors.close()

    def ask(self, **what):
        """Sends a request and waits for the answer."""
        self.send(**what)
        return self.answer()

    def send(self, **what):
        """Sends a request."""
        with contextlib.suppress(OSError):  # The process has ended: `answer` says why.
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()

    def answer(self):
        """Waits for the answer to the last request."""
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            death.check(code, f"the process of {self._name}")
            self._errors.seek(0)
            last = self._errors.read().strip().splitlines()[-1:]
            raise RuntimeError(f"the process of {self._name} ended: {last}")
        return json.loads(line)
