"""The processes of one run, on one machine or several: who writes, what all know.

All compute the same steps, each on its share of every batch. The first, the chief,
alone keeps what comes of it: the others work in folders of their own, which are
thrown away, and are told what the chief has. So no file system need be shared.
"""

import contextlib
import os
import pathlib
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np

from distill.runtime import errors, progress
from distill.runtime.errors import ConfigError
from distill.runtime.process import launch, liveness, signals

HEARTBEAT = 20  # Seconds without a sign of life after which a process is gone.
GRACE = 2  # Seconds for a last word of its own, where another has failed.
LEAVING = 10  # Seconds that a process which must end waits for the others.

_LOST = "another process of this run is gone: the same command, in all processes, "
_LOST += "goes on from what was saved last"
_COLLECTIVES = ("gloo", "nccl", "coordination service")  # Whose errors mean a peer's.
_state = {"count": 1, "index": 0}
_ENDING = threading.Lock()
_lines: list[liveness.Lifeline] = []  # One, while this process is one of several.


def count() -> int:
    """How many processes compute this run."""
    return _state["count"]


def index() -> int:
    """Which of them this is, from 0."""
    return _state["index"]


def is_chief() -> bool:
    """Whether this process is the one that writes."""
    return index() == 0


def rows(batch_size: int) -> slice:
    """Which examples of a batch are this process's.

    Args:
        batch_size: Of all processes together; a multiple of their number.
    """
    share = batch_size // count()
    return slice(index() * share, (index() + 1) * share)


@contextlib.contextmanager
def join(strategy: str) -> Iterator[None]:
    """Inside, all processes of a run that is launched as several are one.

    Args:
        strategy: See `distill.config.hardware`; `tpu` looks for other hosts by itself.

    Raises:
        ConfigError: If this backend or strategy is for one process alone.
        PeerLost: If not all come, or one is lost.
    """
    arguments = launch.launch(os.environ)
    if arguments is not None or strategy == "tpu":
        _initialize(strategy, arguments)
    try:
        yield
    except BaseException as mistake:
        if count() > 1:
            text = str(mistake).lower()
            if any(name in text for name in _COLLECTIVES):
                _gone(waits=False)
            _let_go(goodbye=False)  # The others would wait for this one.
        raise
    disconnect()


def exit(code: int) -> None:
    """Ends a process of several that has failed: JAX' own way out waits, then aborts.

    Args:
        code: Its exit code. Nothing happens to a process by itself.
    """
    if count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        for line in _lines if is_chief() else ():
            line.wait(2 * GRACE)  # JAX aborts all, once the chief is gone.
        os._exit(code)


def _initialize(strategy, arguments):
    import keras

    backend = keras.backend.backend()
    if arguments is None and backend != "jax":
        return  # Said by `strategy.resolve`.
    if backend != "jax" or strategy not in ("auto", "data_parallel", "tpu"):
        raise ConfigError(
            "several processes need KERAS_BACKEND=jax and `hardware.strategy`: auto, "
            f"data_parallel or tpu. Received: {backend}, {strategy}"
        )
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(
            **arguments or {},
            heartbeat_timeout_seconds=HEARTBEAT,
            shutdown_timeout_seconds=LEAVING,
        )
    except (ValueError, RuntimeError) as mistake:
        if arguments is None:
            return  # A lone host: not of a slice.
        raise errors.PeerLost(
            f"the processes do not find each other: {mistake}"
        ) from None
    _state.update(count=jax.process_count(), index=jax.process_index())
    _watch((arguments or {}).get("coordinator_address", ""))
    if not is_chief():
        progress.hush()


def _watch(address):
    """Connects the processes, so that each learns at once when one is gone."""
    line = liveness.Lifeline(_gone)
    host = address.rpartition(":")[0] or socket.gethostname()
    place = broadcast(lambda: f"{host} {line.listen()}".encode()).decode().split()
    if is_chief():
        line.accept(count() - 1)
    else:
        line.connect(place[0], int(place[1]))
    _lines.append(line)


def _let_go(goodbye):
    for line in _lines:
        line.leave(goodbye)


def _gone(waits):
    """Says that another is gone, unless this process has a word of its own to say."""
    with _ENDING:  # Of two threads that notice, one says it.
        if waits:
            time.sleep(GRACE)  # The same mistake may come to light here.
        if all(line.left for line in _lines):
            return  # It has: `end` is on its way.
        print(f"error: {_LOST}", file=sys.stderr, flush=True)
        stopped = signals.number()
        os._exit(128 + stopped if stopped else errors.EXIT_PEER)


def disconnect() -> None:
    """Goes on alone, or ends. What is computed from now on is this process's own."""
    if count() == 1:
        return
    import jax

    _let_go(goodbye=True)
    _state.update(count=1)
    with contextlib.suppress(RuntimeError, ValueError):  # The others may be gone.
        jax.distributed.shutdown()


def broadcast(say: Callable[[], bytes]) -> bytes:
    """What the chief says, in every process; all must ask.

    Args:
        say: Called in the chief alone; less than 4 GB.
    """
    if count() == 1:
        return say()
    from jax.experimental import multihost_utils

    body = np.frombuffer(say() if is_chief() else b"", np.uint8)
    size = multihost_utils.broadcast_one_to_all(np.array(len(body), np.uint32))
    if not size:
        return b""
    if not is_chief():
        body = np.zeros(int(size), np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(body)).tobytes()


def share_file(path: pathlib.Path) -> None:
    """Gives the chief's file, if it has it, to every process; all must ask."""
    if count() == 1:
        return
    body = broadcast(lambda: path.read_bytes() if path.exists() else b"")
    if body and not is_chief():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


@contextlib.contextmanager
def working_folder(wanted: pathlib.Path) -> Iterator[pathlib.Path]:
    """Where this process works: the folder that is wanted, or one that is forgotten."""
    if is_chief():
        yield wanted
        return
    with tempfile.TemporaryDirectory() as home:
        yield pathlib.Path(home) / "runs" / "run"
