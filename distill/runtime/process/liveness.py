"""Who of several processes is still there, by a connection that ends with a process.

JAX learns of a lost peer by heartbeats, late, and then aborts; a system closes the
connections of a process that dies at once.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable

_BYE, _FAILED = b".", b"!"
_QUIET = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 2}  # Seconds, seconds.


class Lifeline:
    """Connections between the chief and each other process, watched by a thread each.

    Args:
        lost: Called, in such a thread, when one ends without a goodbye. Its argument
            is whether it said first that it would: it has failed, and was not killed.
    """

    def __init__(self, lost: Callable[[bool], None]):
        self._lost = lost
        self._ends: list[socket.socket] = []
        self._watchers: list[threading.Thread] = []
        self._open: socket.socket | None = None
        self._left = threading.Event()
        self._goodbye = True

    def listen(self) -> int:
        """In the chief: the port to which the others `connect`."""
        self._open = socket.create_server(("", 0))
        return self._open.getsockname()[1]

    def accept(self, count: int) -> None:
        """In the chief: waits for so many others."""
        assert self._open is not None
        for _ in range(count):
            self._watch(self._open.accept()[0])
        self._open.close()

    def connect(self, host: str, port: int) -> None:
        """In another process: to the chief."""
        self._watch(socket.create_connection((host, port)))

    @property
    def left(self) -> bool:
        """Whether this process has left."""
        return self._left.is_set()

    def leave(self, goodbye: bool) -> None:
        """From now on, nobody is missed here.

        Args:
            goodbye: Whether the others may go on without this process. If not, it
                can `wait` for them: they learn why it ends before it is gone.
        """
        self._goodbye = goodbye
        self._left.set()
        for end in self._ends:
            with contextlib.suppress(OSError):  # Gone, and it has said so.
                end.sendall(_BYE if goodbye else _FAILED)

    def wait(self, seconds: float) -> None:
        """Until all others are gone, too; not longer than this."""
        until = time.monotonic() + seconds
        for watcher in self._watchers:
            watcher.join(max(0, until - time.monotonic()))

    def _watch(self, end):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _QUIET.items():
            if hasattr(socket, name):  # A host that is gone closes nothing.
                end.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._ends.append(end)
        watcher = threading.Thread(target=self._until, args=(end,), daemon=True)
        self._watchers.append(watcher)
        watcher.start()

    def _until(self, end):
        with end:
            said = _heard(end)
            if said != _BYE and not self.left:
                self._lost(said == _FAILED)
            self._left.wait()
            if not self._goodbye and said:
                _heard(end)


def _heard(end):
    """A word of the other; empty if it is gone, or silent for too long."""
    with contextlib.suppress(OSError):
        return end.recv(1)
    return b""
