"""SIGTERM and Ctrl-C: the current step is finished and saved, then the command stops.

A second signal stops the command at once.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

_HANDLED = (signal.SIGINT, signal.SIGTERM)
_state: dict = {"deferred": False, "pending": None, "forward": None}


class Stopped(BaseException):
    """A signal stops the command. It is no `Exception`, so that none catches it.

    Attributes:
        code: The exit code: 128 plus the signal's number, as in shells.
    """

    def __init__(self, number: int):
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.code = 128 + number


def install() -> None:
    """Makes the two signals raise `Stopped` in the main thread."""
    for number in _HANDLED:
        signal.signal(number, _handle)


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """`install` for the duration of a block; afterwards, the handlers are the old ones.

    Does nothing in other threads than the main one, which alone gets signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _HANDLED}
    install()
    try:
        yield
    finally:
        # A signal that is still pending must not end the program's next call.
        _state.update(deferred=False, pending=None, forward=None)
        for number, handler in before.items():
            if handler is not None:  # None: it was installed from C.
                signal.signal(number, handler)


@contextlib.contextmanager
def deferred(forward: Callable[[int], None] | None = None) -> Iterator[None]:
    """Delays a first signal until `raise_if_pending` or the end of the block.

    Args:
        forward: Called with the signal as soon as it arrives, for example to
            pass it on to another process.

    Raises:
        Stopped: At the end, if a signal came.
    """
    outer = dict(_state)
    _state.update(deferred=True, forward=forward)
    try:
        yield
    finally:
        _state.update(deferred=outer["deferred"], forward=outer["forward"])
    # Not inside another `deferred`, which delays it further.
    if not _state["deferred"]:
        raise_if_pending()


def pending() -> bool:
    """Whether a signal is pending."""
    return number() is not None


def number() -> int | None:
    """The number of the pending signal, or None."""
    return _state["pending"]


def raise_if_pending() -> None:
    """Raises the pending signal, if there is one.

    Raises:
        Stopped: If a signal is pending.
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
