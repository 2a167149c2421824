"""Several who compile at once, and then do their work one after the other."""

import contextlib
import threading
import time
from collections.abc import Hashable, Iterable, Iterator


class Turns:
    """Nobody begins before all are ready, or the time is up; then each works alone.

    Args:
        names: Of all.
        end: Until when, by `time.monotonic`, those that are ready wait for the others.
    """

    def __init__(self, names: Iterable[Hashable], end: float):
        self._busy, self._end = set(names), end
        self._changed = threading.Condition()
        self._alone = threading.Lock()

    def mark_ready(self, name: Hashable) -> None:
        """One is ready, or will never be."""
        with self._changed:
            self._busy.discard(name)
            self._changed.notify_all()

    @contextlib.contextmanager
    def take_turn(self, name: Hashable) -> Iterator[None]:
        """Inside, the work of one who is ready."""
        self.mark_ready(name)
        with self._changed:
            left = max(0.0, self._end - time.monotonic())
            self._changed.wait_for(lambda: not self._busy, left)
        # Whoever is ready too late waits here as well: two that are timed at once would
        # slow each other down.
        with self._alone:
            yield
