"""Runs a module of distill in a process of its own, and raises what that raised."""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from distill.runtime import errors, stopwatch
from distill.runtime.process import death, python, signals
from distill.runtime.process.command import ERROR_FILE, IN_CHILD

EXPLAINED = range(1, 64)  # Exit codes of a process that has written its error.

_told = threading.Event()


def run(
    module: str,
    arguments: Sequence[str],
    what: str,
    left: str = "",
    environment: Mapping[str, str] | None = None,
) -> None:
    """Runs a module whose `main` is a `command.run_command`, and waits for it.

    Args:
        module: Such as `distill.run.child`.
        arguments: Of its command line.
        what: The process, in messages.
        left: What is left of its work if it dies; see `death.check`.
        environment: Variables beside those of this process.

    Raises:
        As the function of `started`.
    """
    with started(module, arguments, what, left, environment) as end:
        end()


@contextlib.contextmanager
def started(
    module: str,
    arguments: Sequence[str],
    what: str,
    left: str = "",
    environment: Mapping[str, str] | None = None,
) -> Iterator[Callable]:
    """Starts a module as `run` does, for what it can do before it is told to go on.

    Args:
        module: See `run`.
        arguments: See `run`.
        what: See `run`.
        left: See `run`.
        environment: See `run`.

    Yields:
        A function that tells the process to go on, and waits for its end. It may get
        another function, which it calls meanwhile and whose result it returns. At the
        end of the context, the process is gone.

    Raises:
        Killed: If the process died by a signal.
        Stopped: If a signal came; the process has ended a step before.
        FinishError: If it failed without a message.
        As the process itself: see `errors.by_code`.
    """
    with tempfile.NamedTemporaryFile("r", errors="surrogateescape") as file:
        child = subprocess.Popen(
            python.command(module, *arguments),
            env=python.environment(
                **(environment or {}), **{IN_CHILD: "1", ERROR_FILE: file.name}
            ),
            stdin=subprocess.PIPE,  # It closes when this process is gone.
            start_new_session=True,  # Ctrl-C comes to this process, and on.
        )

        def end(meanwhile: Callable[[], Any] = lambda: None) -> Any:
            # The child ends a step and saves; only then is this process interrupted.
            with signals.deferred(forward=child.send_signal):
                with contextlib.suppress(BrokenPipeError):  # Its exit code says why.
                    child.stdin.write(b"\n")  # type: ignore[union-attr]
                    child.stdin.flush()  # type: ignore[union-attr]
                result = meanwhile()
                with stopwatch.working(stopwatch.WAITING):
                    code = child.wait()
            _check(code, file.read(), what, left)
            return result

        try:
            yield end
        finally:
            # Also after an error here: no child may outlive the lock of the folder.
            child.kill()
            with contextlib.suppress(BrokenPipeError):
                child.communicate()


def _check(code, line, what, left):
    """Raises what a process has raised."""
    if code in EXPLAINED and line:
        raise errors.by_code(code)(line)
    death.check(code, what, left)
    if code:
        raise errors.FinishError(f"{what} stopped (exit code {code})")


def end_with_parent() -> None:
    """Ends this process when the one that started it ends, which holds the lock."""

    def watch():
        # Blocks until the parent, at the other end of the pipe, writes or is gone.
        while os.read(sys.stdin.fileno(), 1):
            _told.set()
        # Not `sys.exit`, which would end this thread only.
        os._exit(errors.EXIT_FAILED)

    # A thread, because the main one may be in a library for minutes.
    threading.Thread(target=watch, daemon=True).start()


def wait_for_parent() -> None:
    """Waits until the process that has started this one tells it to go on."""
    _told.wait()
