"""Runs a module of distill in a process of its own, and raises what that raised."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence

from distill.runtime import errors
from distill.runtime.process import death, python, signals
from distill.runtime.process.command import ERROR_FILE, IN_CHILD

EXPLAINED = range(1, 64)  # Exit codes of a process that has written its error.


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
        # The child ends a step and saves; only then is this process interrupted.
        try:
            with signals.deferred(forward=child.send_signal):
                code = child.wait()
        finally:
            # Also after an error here: no child may outlive the lock of the folder.
            child.kill()
            child.communicate()
        line = file.read()
    if code in EXPLAINED and line:
        raise errors.by_code(code)(line)
    death.check(code, what, left)
    if code:
        raise errors.FinishError(f"{what} stopped (exit code {code})")


def end_with_parent() -> None:
    """Ends this process when the one that called `run` ends, which holds the lock."""

    def watch():
        # Blocks until the parent, at the other end of the pipe, is gone.
        os.read(sys.stdin.fileno(), 1)
        # Not `sys.exit`, which would end this thread only.
        os._exit(errors.EXIT_FAILED)

    # A thread, because the main one may be in a library for minutes.
    threading.Thread(target=watch, daemon=True).start()
