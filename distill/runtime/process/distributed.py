"""The processes of one run, on one machine or several.

All compute the same steps, each on its share of every batch. Only the first process,
the chief, saves results. The others work in temporary folders and receive files from
the chief, so no shared file system is needed.
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

HEARTBEAT = 20  # Seconds without a heartbeat after which JAX counts a process as lost.
GRACE = 2  # Seconds to report an error of its own after another process has failed.
LEAVING = 10  # Seconds that JAX waits for the others at shutdown.

_LOST = "another process of this run is gone: the same command, in all processes, "
_LOST += "goes on from what was saved last"
# Parts of the errors that a lost peer causes in this process.
_COLLECTIVES = ("gloo", "nccl", "coordination service")
_state = {"count": 1, "index": 0}
_ENDING = threading.Lock()
_lines: list[liveness.Lifeline] = []  # One, while this process is one of several.


def count() -> int:
    """Number of processes of this run."""
    return _state["count"]


def index() -> int:
    """Index of this process, from 0."""
    return _state["index"]


def is_chief() -> bool:
    """Whether this is process 0, the only one that writes."""
    return index() == 0


def rows(batch_size: int) -> slice:
    """The examples of a batch that this process computes.

    Args:
        batch_size: Batch size of all processes together; a multiple of their number.
    """
    share = batch_size // count()
    return slice(index() * share, (index() + 1) * share)


@contextlib.contextmanager
def join(strategy: str) -> Iterator[None]:
    """Connects the processes of a run for the duration of the block.

    Args:
        strategy: See `distill.config.hardware`; `tpu` finds other hosts by itself.

    Raises:
        ConfigError: If this backend or strategy supports one process only.
        PeerLost: If a process does not connect, or is lost.
    """
    arguments = launch.launch(os.environ)
    if arguments is not None or strategy == "tpu":
        _initialize(strategy, arguments)
    try:
        yield
    except BaseException as error:
        if count() > 1:
            text = str(error).lower()
            if any(name in text for name in _COLLECTIVES):
                _on_lost(waits=False)
            _leave(goodbye=False)  # Else the others would wait for this one.
        raise
    disconnect()


def exit(code: int) -> None:
    """Ends this process after a failure; does nothing if it is the only one.

    A normal exit would run JAX' shutdown, which waits for the others and then aborts.

    Args:
        code: The exit code.
    """
    if count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        for line in _lines if is_chief() else ():
            line.wait(2 * GRACE)  # When the chief is gone, JAX aborts all others.
        os._exit(code)


def _initialize(strategy, arguments):
    import keras

    backend = keras.backend.backend()
    if arguments is None and backend != "jax":
        return  # `strategy.resolve` reports it.
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
    except (ValueError, RuntimeError) as error:
        if arguments is None:
            return  # A TPU host by itself, not part of a slice.
        raise errors.PeerLost(
            f"the processes do not find each other: {error}"
        ) from None
    _state.update(count=jax.process_count(), index=jax.process_index())
    _watch((arguments or {}).get("coordinator_address", ""))
    if not is_chief():
        progress.hush()


def _watch(address):
    """Connects the processes, so that each notices at once when one is gone."""
    line = liveness.Lifeline(_on_lost)
    host = address.rpartition(":")[0] or socket.gethostname()
    place = broadcast(lambda: f"{host} {line.listen()}".encode()).decode().split()
    if is_chief():
        line.accept(count() - 1)
    else:
        line.connect(place[0], int(place[1]))
    _lines.append(line)


def _leave(goodbye):
    for line in _lines:
        line.leave(goodbye)


def _on_lost(waits):
    """Ends this process because another is lost, unless it has an error of its own."""
    with _ENDING:  # Several threads may notice; only one reports it.
        if waits:
            time.sleep(GRACE)  # The same error may occur here too.
        if all(line.has_left for line in _lines):
            return  # It has one: `exit` follows.
        print(f"error: {_LOST}", file=sys.stderr, flush=True)
        stopped = signals.number()
        os._exit(128 + stopped if stopped else errors.EXIT_PEER)


def disconnect() -> None:
    """Leaves the group: from now on, this process computes by itself."""
    if count() == 1:
        return
    import jax

    _leave(goodbye=True)
    _state.update(count=1)
    with contextlib.suppress(RuntimeError, ValueError):  # The others may be gone.
        jax.distributed.shutdown()


def broadcast(say: Callable[[], bytes]) -> bytes:
    """Returns the chief's bytes in every process; all processes must call this.

    Args:
        say: Called in the chief alone; returns less than 4 GB.
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
    """Copies the chief's file, if it exists, to every process; all must call this."""
    if count() == 1:
        return
    body = broadcast(lambda: path.read_bytes() if path.exists() else b"")
    if body and not is_chief():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


@contextlib.contextmanager
def working_folder(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """The chief gets the folder itself, any other process a temporary one."""
    if is_chief():
        yield folder
        return
    with tempfile.TemporaryDirectory() as home:
        yield pathlib.Path(home) / "runs" / "run"
