"""Lets several threads compile at the same time, and then work one after the other."""

import contextlib
import threading
import time
from collections.abc import Hashable, Iterable, Iterator


class Turns:
    """Turns that begin when all threads are ready, or the time is up.

    Args:
        names: The names of the threads.
        end: The time, by `time.monotonic`, until which those that are ready wait.
    """

    def __init__(self, names: Iterable[Hashable], end: float):
        self._busy, self._end = set(names), end
        self._changed = threading.Condition()
        self._alone = threading.Lock()

    def mark_ready(self, name: Hashable) -> None:
        """Notes that a thread is ready, or will never be."""
        with self._changed:
            self._busy.discard(name)
            self._changed.notify_all()

    @contextlib.contextmanager
    def take_turn(self, name: Hashable) -> Iterator[None]:
        """The turn of a thread, which is ready; no other has its turn meanwhile."""
        self.mark_ready(name)
        with self._changed:
            left = max(0.0, self._end - time.monotonic())
            self._changed.wait_for(lambda: not self._busy, left)
        # A thread that is ready too late waits here, too: two that are timed at once
        # would slow each other down.
        with self._alone:
            yield
