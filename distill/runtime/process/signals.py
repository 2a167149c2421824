"""SIGTERM and Ctrl-C: the step is ended and saved, then the command stops.

A second signal stops at once.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator

_EXPECTED = (signal.SIGINT, signal.SIGTERM)
_state: dict = {"deferred": False, "pending": None, "forward": None}


class Stopped(BaseException):
    """The command was asked to stop; no `except Exception` may swallow it.

    Attributes:
        code: The exit code, 128 and the signal's number.
    """

    def __init__(self, number: int):
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.code = 128 + number


def install() -> None:
    """From now on the two signals end in `Stopped`, in the main thread."""
    for number in _EXPECTED:
        signal.signal(number, _handle)


@contextlib.contextmanager
def deferred(forward: Callable[[int], None] | None = None) -> Iterator[None]:
    """Inside, a first signal waits until `raise_if_pending`, or the end.

    Args:
        forward: Called with the signal as soon as it comes, for example to
            hand it on to another process.

    Raises:
        Stopped: At the end, if a signal came.
    """
    outer = dict(_state)
    _state.update(deferred=True, forward=forward)
    try:
        yield
    finally:
        _state.update(deferred=outer["deferred"], forward=outer["forward"])
    if not _state["deferred"]:
        raise_if_pending()


def pending() -> bool:
    """Whether a signal waits."""
    return number() is not None


def number() -> int | None:
    """The signal that waits."""
    return _state["pending"]


def raise_if_pending() -> None:
    """Stops now, if a signal came.

    Raises:
        Stopped: If so.
    """
    number, _state["pending"] = _state["pending"], None
    if number is not None:
        raise Stopped(number)


def _handle(number, frame):
    if not _state["deferred"] or pending():
        raise Stopped(number)
    _state["pending"] = number
    if _state["forward"] is not None:
        _state["forward"](number)
