"""What a run tells its user: one line for each step, what, why, how long."""

import contextlib
import functools
import logging
import os
import sys
import time

from absl import logging as absl_logging

_LOGGER = logging.getLogger("distill")
_BEGAN = time.monotonic()  # This module is among the first that a command imports.


def start() -> None:
    """Sends our lines to the user, and keeps back TensorFlow's own chatter."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    absl_logging.use_absl_handler()
    absl_logging.get_absl_handler().setFormatter(None)
    absl_logging.set_stderrthreshold(absl_logging.INFO)
    absl_logging.set_verbosity(absl_logging.ERROR)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    _LOGGER.setLevel(logging.INFO)


def say(message: str) -> None:
    """One line for the user."""
    _LOGGER.info("%s", message)


@functools.cache
def first_step() -> None:
    """Says, once in a process, how long it took until something was trained."""
    say(f"    first training step: {time.monotonic() - _BEGAN:.1f} s after the start")


@contextlib.contextmanager
def step(what: str, why: str):
    """Announces a step, and says how long it took."""
    say(f"==> {what}: {why}")
    start = time.monotonic()
    yield
    say(f"    {what}: done in {time.monotonic() - start:.1f} s")


def bar() -> int:
    """Keras' `verbose`: a progress bar on a terminal, else a line an epoch."""
    if not _LOGGER.isEnabledFor(logging.INFO):
        return 0
    return 1 if sys.stdout.isatty() else 2


def hush() -> None:
    """From now on nothing but errors: another process of the run speaks."""
    _LOGGER.setLevel(logging.ERROR)
