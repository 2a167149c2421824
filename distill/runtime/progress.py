"""Messages for the user: one line for each step, with reason and duration."""

import collections
import contextlib
import dataclasses
import functools
import logging
import os
import shutil
import sys
import time
from collections.abc import Mapping

from absl import logging as absl_logging

from distill.runtime import quiet, stopwatch

_LOGGER = logging.getLogger("distill")
_BEGAN = time.monotonic()  # This module is among the first that a command imports.
_CLEAR = "\r\x1b[K"
_OFTEN = 0.2  # Seconds between two looks at a line that is not whole yet.
# What is shown where room is short.
_FIRST = ("val_accuracy", "val_agreement_with_teacher", "accuracy", "loss")


@dataclasses.dataclass
class _Work:
    """What this process trains: legs, in order, and the one that it is in."""

    epochs: Mapping[str, int]
    leg: str = ""
    title: str = ""
    line_is_open: bool = False

    def before_and_all(self):
        """Epochs of the legs before this one, and of all; None where unknown."""
        names = list(self.epochs)
        if self.leg not in names:
            return None
        before = names[: names.index(self.leg)]
        return sum(self.epochs[name] for name in before), sum(self.epochs.values())


_work = _Work({})


def start() -> None:
    """Shows this project's messages and hides TensorFlow's own."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    quiet.watch_import()
    absl_logging.use_absl_handler()
    absl_logging.get_absl_handler().setFormatter(None)
    absl_logging.set_stderrthreshold(absl_logging.INFO)
    absl_logging.set_verbosity(absl_logging.ERROR)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    _LOGGER.setLevel(logging.INFO)


def say(message: str) -> None:
    """Prints one line for the user."""
    if _work.line_is_open:
        print(_CLEAR, end="", flush=True)
    _LOGGER.info("%s", message)


@functools.cache
def first_step() -> None:
    """Prints, once per process, the time from start to the first training step."""
    say(f"    first training step: {time.monotonic() - _BEGAN:.1f} s after the start")


@contextlib.contextmanager
def step(what: str, why: str, leg: str = ""):
    """Prints the start of a step, and at its end the duration.

    Args:
        what: The step.
        why: What for, or how much.
        leg: Its name among those that are expected, if it trains.
    """
    say(f"==> {what}: {why}")
    if leg:
        _work.leg, _work.title = leg, what
    start = time.monotonic()
    with stopwatch.working("building" if leg else stopwatch.OTHER, what):
        yield
    say(f"    {what}: done in {time.monotonic() - start:.1f} s")


def expect(legs: Mapping[str, int]) -> None:
    """Says what is to be trained from now on, for the time that is left.

    Args:
        legs: Name of each leg to its epochs, in order; who begins one has done with
            those before it.
    """
    _work.epochs = dict(legs)


def verbose() -> int:
    """Keras' own `verbose`: a line an epoch into a file, none where `shown` speaks."""
    return 2 if _listened() and not sys.stdout.isatty() else 0


def lines(callback: type) -> list:
    """The callbacks that show an epoch on a terminal; none where there is no terminal.

    Args:
        callback: The base class of Keras 3 or tf_keras.
    """
    if _listened() and sys.stdout.isatty():
        return [type("EpochLine", (_EpochLine, callback), {})()]
    return []


def _listened():
    return _LOGGER.isEnabledFor(logging.INFO)


def hush() -> None:
    """Prints only errors from now on; for all processes but the chief."""
    _LOGGER.setLevel(logging.ERROR)


class _EpochLine:
    """One line an epoch, as wide as the terminal at most, written over as it goes."""

    def __init__(self):
        super().__init__()
        self._paces = collections.deque(maxlen=5)  # Seconds of the last epochs.
        self._epoch = 0
        self._began = self._drawn = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._began = self._drawn = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        if time.monotonic() - self._drawn >= _OFTEN:
            self._draw((batch + 1) / self.params["steps"], logs)

    def on_epoch_end(self, epoch, logs=None):
        self._paces.append(time.monotonic() - self._began)
        self._draw(1, logs)
        _work.line_is_open = False
        print(flush=True)

    def _draw(self, share, logs):
        self._drawn = time.monotonic()
        epochs, known = self.params["epochs"], _work.before_and_all()
        head = f"{_work.title}, epoch {self._epoch + 1}/{epochs}"
        left = {"stage": epochs - self._epoch - share}
        if known is not None:
            before, every = known
            head += f" ({before + self._epoch + 1}/{every})"
            left["run"] = every - before - self._epoch - share
        columns = shutil.get_terminal_size().columns - 1
        _work.line_is_open = True
        said = line(head, self._times(left), logs or {}, columns)
        print(_CLEAR + said, end="", flush=True)

    def _times(self, epochs):
        """What so many epochs will take, at the pace of the last ones."""
        if not self._paces:
            return ""
        pace = sum(self._paces) / len(self._paces)
        return ", ".join(f"{what} {clock(pace * n)}" for what, n in epochs.items())


def line(head: str, left: str, numbers: Mapping[str, float], columns: int) -> str:
    """What fits into a line: head and end, between them as many numbers as possible.

    Args:
        head: Where training is.
        left: Of which stretch, how much time; may be empty.
        numbers: Name to value.
        columns: Of the line, at most.
    """
    names = sorted(numbers, key=lambda n: _FIRST.index(n) if n in _FIRST else 9)
    tail = f"; left: {left}" if left else ""
    said = head
    for name in names:
        more = f", {name} {float(numbers[name]):.4g}"
        if len(said + more + tail) <= columns:
            said += more
    return (said + tail)[:columns]


def clock(seconds: float) -> str:
    """A duration as `0:07`, `12:03` or `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
