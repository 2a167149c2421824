"""Who of several processes is still there, by a connection that ends with a process.

JAX learns of a lost peer by heartbeats, late, and then aborts; a system closes the
connections of a process that dies at once.
"""

import contextlib
import socket
import threading
from collections.abc import Callable

_BYE = b"."
_QUIET = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 2}  # Seconds, seconds.


class Lifeline:
    """Connections between the chief and each other process, watched by a thread each.

    Args:
        lost: Called, in such a thread, when one ends without a goodbye.
    """

    def __init__(self, lost: Callable[[], None]):
        self._lost = lost
        self._ends: list[socket.socket] = []
        self._open: socket.socket | None = None
        self._left = False

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

    def leave(self, goodbye: bool) -> None:
        """Ends all connections; from now on, nobody is missed here.

        Args:
            goodbye: Whether the others may go on without this process.
        """
        self._left = True
        for end in self._ends:
            with contextlib.suppress(OSError):  # Gone, and it has said so.
                if goodbye:
                    end.sendall(_BYE)
                end.shutdown(socket.SHUT_RDWR)

    def _watch(self, end):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _QUIET.items():
            if hasattr(socket, name):  # A host that is gone closes nothing.
                end.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._ends.append(end)
        threading.Thread(target=self._until, args=(end,), daemon=True).start()

    def _until(self, end):
        said = b""
        with end, contextlib.suppress(OSError):  # Reset, or silent for too long.
            said = end.recv(1)
        if said != _BYE and not self._left:
            self._lost()
