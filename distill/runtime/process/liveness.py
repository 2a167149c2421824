"""Detects that another process of a run has died, by a connection to it.

JAX detects a lost peer by heartbeats, which is late, and then aborts. The operating
system closes the connections of a process as soon as it dies.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable

_BYE, _FAILED = b".", b"!"
# A silent connection is probed after 10 s, then every 5 s, and closed after 2 failures.
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 2}


class Lifeline:
    """Connections between the chief and each other process, each watched by a thread.

    Args:
        lost: Called, in such a thread, when a process is gone without a goodbye. Its
            argument is whether that process announced a failure; if not, it was killed.
    """

    def __init__(self, lost: Callable[[bool], None]):
        self._lost = lost
        self._ends: list[socket.socket] = []
        self._watchers: list[threading.Thread] = []
        self._open: socket.socket | None = None
        self._left = threading.Event()
        self._goodbye = True

    def listen(self) -> int:
        """In the chief: opens and returns the port to which the others `connect`."""
        self._open = socket.create_server(("", 0))
        return self._open.getsockname()[1]

    def accept(self, count: int) -> None:
        """In the chief: waits until `count` others have connected."""
        assert self._open is not None
        for _ in range(count):
            self._watch(self._open.accept()[0])
        self._open.close()

    def connect(self, host: str, port: int) -> None:
        """In another process: connects to the chief."""
        self._watch(socket.create_connection((host, port)))

    @property
    def has_left(self) -> bool:
        """Whether this process has left."""
        return self._left.is_set()

    def leave(self, goodbye: bool) -> None:
        """Announces the end of this process; lost peers are ignored from now on.

        Args:
            goodbye: Whether the others may continue without this process. If not, it
                can `wait` for them: they learn of its failure before it is gone.
        """
        self._goodbye = goodbye
        self._left.set()
        for end in self._ends:
            with contextlib.suppress(OSError):  # The other process is gone already.
                end.sendall(_BYE if goodbye else _FAILED)

    def wait(self, seconds: float) -> None:
        """Waits until all other processes are gone, at most this long."""
        until = time.monotonic() + seconds
        for watcher in self._watchers:
            watcher.join(max(0, until - time.monotonic()))

    def _watch(self, end):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            # Keepalive, since a host that loses power closes no connection.
            if hasattr(socket, name):
                end.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._ends.append(end)
        watcher = threading.Thread(target=self._run_watcher, args=(end,), daemon=True)
        self._watchers.append(watcher)
        watcher.start()

    def _run_watcher(self, end):
        with end:
            message = _receive(end)
            if message != _BYE and not self.has_left:
                self._lost(message == _FAILED)
            self._left.wait()
            if not self._goodbye and message:
                _receive(end)


def _receive(end):
    """One message of the other process; empty if it is gone or silent for too long."""
    with contextlib.suppress(OSError):
        return end.recv(1)
    return b""
