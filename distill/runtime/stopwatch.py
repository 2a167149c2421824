"""Where the time of this process goes: stretches, each of one part and one kind.

A stretch ends where the next begins, so that together they are the whole time.
"""

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

START, OTHER, WAITING = "start", "other", "waiting"
KINDS = ("building", "tracing", "steps", "validation", "conversion", OTHER)


class Stretch(NamedTuple):
    """A stretch of time.

    Attributes:
        part: What was worked on, such as a stage or a file.
        kind: One of `KINDS`; or `WAITING`, for another process.
        start: Seconds on the clock that all processes of a machine share.
        end: As `start`.
    """

    part: str
    kind: str
    start: float
    end: float


class _Watch:
    """The stretches that have ended, and the beginning of the one that has not."""

    def __init__(self):
        self.ended: list[Stretch] = []
        self.part, self.kind, self.start = START, OTHER, time.monotonic()

    def turn(self, part, kind):
        now = time.monotonic()
        self.ended.append(Stretch(self.part, self.kind, self.start, now))
        self.part, self.kind, self.start = part, kind, now


_watch = _Watch()


def restart() -> None:
    """Begins anew: for a program that has done other things before."""
    _watch.__init__()  # type: ignore[misc]


def turn_to(kind: str) -> None:
    """Begins another kind of work on the same part."""
    _watch.turn(_watch.part, kind)


@contextlib.contextmanager
def working(kind: str = OTHER, part: str | None = None) -> Iterator[None]:
    """For a block: work of a kind; before and after, what was around it.

    Args:
        kind: See `Stretch`.
        part: See `Stretch`; by default, the part around the block.
    """
    around = _watch.part, _watch.kind
    _watch.turn(part or _watch.part, kind)
    try:
        yield
    finally:
        _watch.turn(*around)


def stretches() -> list[Stretch]:
    """All stretches up to now."""
    _watch.turn(_watch.part, _watch.kind)
    return list(_watch.ended)


def with_helper(
    own: Sequence[Stretch], helper: Iterable[Stretch]
) -> Iterator[tuple[str, str, float]]:
    """Puts the work of another process in the place of the time spent waiting for it.

    What it did while this process worked, too, cost no time.

    Args:
        own: Stretches of this process.
        helper: Those of the other one.

    Yields:
        Part, kind and seconds; together the time of this process.
    """
    ended = list(helper)
    for part, kind, start, end in own:
        seconds = end - start
        if kind == WAITING:
            for theirs in ended:
                shared = min(end, theirs.end) - max(start, theirs.start)
                if shared > 0:
                    yield theirs.part, theirs.kind, shared
                    seconds -= shared
        yield part, OTHER if kind == WAITING else kind, seconds
