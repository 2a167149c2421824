"""The same training steps by others, side by side: for `distill.benchmark --peers`.

Each peer, and this project, works in a process of its own that waits while another is
timed: PyTorch and TensorFlow in one process would get in each other's threads. Before
the clock starts, all of them must find the same losses.
"""

import contextlib
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from distill import config
from distill.runtime import errors
from students.resnet import ResNet

OWN = "own"
# Name to the package that it needs.
PEERS = {"pytorch": "torch", "keras_distillation": "keras"}
CHECKED = 3  # Steps whose losses are compared; they trace and fill caches, too.
TOLERANCE = 1e-4  # Share of a loss; float32 in another order is far below.

_CURE = "not installed: pip install -e '.[bench]'"
_THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
# Of each method that a peer computes, the options that it knows.
_OPTIONS = {
    "kd": ("kd_weight", "temperature"),
    "lit": ("kd_weight", "temperature", "section_weight"),
}


class Terms(NamedTuple):
    """What else holds where peers are timed.

    Attributes:
        peers: Who is timed beside this project: names of `PEERS`.
        tolerance: Share of a loss in which two may differ.
        environment: Variables of their processes, beside this one's.
        end: When, by `time.monotonic`, processes that are still at work are killed.
    """

    peers: tuple[str, ...] = tuple(PEERS)
    tolerance: float = TOLERANCE
    environment: Mapping[str, str] = {}
    end: float | None = None


PLAIN = Terms()


def check(run: config.Run) -> None:
    """Refuses a run with networks or methods that the peers were not written for.

    Raises:
        ConfigError: In one line.
    """
    networks = {"teacher.network": run.teacher.network, "student": run.student}
    for name, network in networks.items():
        # Narrower, oneDNN's 1x1 kernels corrupt PyTorch's memory: uxlfoundation/oneDNN,
        # issue 6035.
        known = isinstance(network, ResNet) and (
            network.shortcut == "projection"
            and network.activation_order == "post"
            and network.width >= 8
        )
        if not known:
            raise errors.ConfigError(
                f"`{name}` must be a resnet with `shortcut: projection`, "
                "`activation_order: post` and a `width` of at least 8 for --peers. "
                f"Received: {network}"
            )
    if run.hardware.precision != "float32":
        raise errors.ConfigError(
            "`hardware.precision` must be float32 for --peers: keras.distillation "
            f"knows no other. Received: {run.hardware.precision}"
        )
    kept = run.teacher.cache
    if kept and (kept.precision, kept.top_k) != ("float32", None):
        raise errors.ConfigError(
            "`teacher.cache` must be true for --peers, or absent: answers that lose "
            f"digits or classes are others. Received: {kept}"
        )
    for index, stage in enumerate(run.stages):
        names = _OPTIONS.get(stage.name, ())
        same = {name: getattr(stage.trainer, name) for name in names}
        if not names or stage.trainer != type(stage.trainer)(**same):
            raise errors.ConfigError(
                f"`stages[{index}].trainer` must be one of {', '.join(_OPTIONS)}, its "
                "weights and temperature its only options, for --peers. Received: "
                f"{stage.trainer}"
            )


def side_by_side(
    run: config.Run, *, rounds: int, steps: int, threads: int, terms: Terms = PLAIN
) -> dict:
    """Times a step of each stage's method by this project and by its peers.

    Args:
        run: See `check`. Batches are random; nothing is trained to an end. With a
            `teacher.cache` this project trains on kept answers; no peer can.
        rounds: How often all are gone through.
        steps: Of one method by one peer, in a round.
        threads: That each may use.
        terms: See there.

    Returns:
        `threads`; `costs`, of each network, the same for all: `parameters` and `macs`;
        `packages`, name of each peer to name and version; `missing`, to why; and
        `methods`, one mapping a stage: `name`; `losses` of the first steps, and
        `seconds` and `cpu_seconds` of a step, one number a round, by peer; `ratio` and
        `cpu_ratio`, of this project's examples per second to each peer's, medians over
        the rounds.

    Raises:
        RuntimeError: If networks or losses differ, or a process ends.
    """
    missing = {
        name: _CURE
        for name in terms.peers
        if importlib.util.find_spec(PEERS[name]) is None
    }
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "run.yaml").write_text(config.dump(run))
        # This project first: it writes the weights that all start from.
        workers = {
            name: stack.enter_context(_Worker(name, folder, threads, terms))
            for name in (OWN, *terms.peers)
            if name not in missing
        }
        costs = _agreed({name: worker.costs for name, worker in workers.items()})
        how = rounds, steps, terms.tolerance
        methods = [
            {"name": stage.name, **_timed(index, stage.name, workers, *how)}
            for index, stage in enumerate(run.stages)
        ]
        packages = {name: worker.package for name, worker in workers.items()}
        if run.teacher.cache is not None:
            packages[OWN] += ", on kept answers"
    return {
        "threads": threads,
        "costs": costs,
        "packages": packages,
        "missing": missing,
        "methods": methods,
    }


def table(result: dict, batch_size: int) -> str:
    """What `side_by_side` found, for people."""
    import tabulate

    rows = []
    for method in result["methods"]:
        for peer, seconds in method["seconds"].items():
            wall = statistics.median(seconds)
            row = [
                method["name"],
                peer,
                f"{1000 * wall:.1f}",
                f"{batch_size / wall:.0f}",
            ]
            for ratios in (method["ratio"], method["cpu_ratio"]):
                row.append(f"{ratios[peer]:.2f}" if peer in ratios else "")
            rows.append(row)
    headers = ["method", "by", "ms", "images/s", "ours / theirs", "by CPU time"]
    align = ["left", "left", *["right"] * 4]
    lines = [tabulate.tabulate(rows, headers, colalign=align, disable_numparse=True)]
    lines += [f"{name}: {package}" for name, package in result["packages"].items()]
    lines += [f"{name}: {why}" for name, why in result["missing"].items()]
    return "\n".join([*lines, f"threads: {result['threads']}"])


def _timed(index, name, workers, rounds, steps, tolerance=TOLERANCE):
    """One stage by all that know its method."""
    able = {who: worker for who, worker in workers.items() if name in worker.methods}
    for worker in able.values():  # All at once: here they compile.
        worker.send(stage=index, check=CHECKED)
    losses = {who: worker.answer() for who, worker in able.items()}
    for who, found in losses.items():
        pairs = zip(losses[OWN], found, strict=True)
        if not all(abs(own - other) <= tolerance * abs(own) for own, other in pairs):
            raise RuntimeError(
                f"{who} computes another {name}: losses {found}, not {losses[OWN]}"
            )
    clocks = {clock: {who: [] for who in able} for clock in ("seconds", "cpu_seconds")}
    for _ in range(rounds):
        for who, worker in able.items():
            for clock, value in worker.ask(stage=index, steps=steps).items():
                clocks[clock][who].append(value)
    ratio = {
        f"{clock.removesuffix('seconds')}ratio": {
            who: statistics.median(
                other / own for own, other in zip(found[OWN], values, strict=True)
            )
            for who, values in found.items()
            if who != OWN
        }
        for clock, found in clocks.items()
    }
    return {"losses": losses, **clocks, **ratio}


def _agreed(costs):
    for who, found in costs.items():
        if found != costs[OWN]:
            raise RuntimeError(f"{who} has other networks: {found}, not {costs[OWN]}")
    return costs[OWN]


class _Worker:
    """A process that answers a line of JSON with another; see `distill.peers.child`."""

    def __init__(self, name, folder, threads, terms=PLAIN):
        environment = {**os.environ, **dict.fromkeys(_THREADS, str(threads))}
        environment |= terms.environment
        self._errors = (folder / f"{name}.log").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "distill.peers.child", name, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
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
        except BaseException:  # Ctrl-C, too: nobody else knows of the process.
            self.__exit__()
            raise
        self.costs, self.methods = ready["costs"], ready["methods"]
        self.package = ready["package"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._end.cancel()
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        with contextlib.suppress(OSError):  # What was not sent stays so.
            self._process.stdin.close()
        self._errors.close()

    def ask(self, **what):
        """Sends a question, waits for the answer."""
        self.send(**what)
        return self.answer()

    def send(self, **what):
        """Sends a question."""
        with contextlib.suppress(OSError):  # It has ended: `answer` says why.
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()

    def answer(self):
        """Waits for the answer to the question that was sent last."""
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            last = self._errors.read().strip().splitlines()[-1:]
            raise RuntimeError(f"the process of {self._name} ended: {last}")
        return json.loads(line)
