"""A command as a process: a mistake is one line on stderr, and an exit code."""

import argparse
import errno
import os
import pathlib
import sys
from collections.abc import Callable, Sequence

from distill.runtime import errors, progress
from distill.runtime.process import distributed, signals

IN_CHILD = "DISTILL_IN_CHILD"  # Set for the finishing process.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)


def add_set_flag(flags: argparse.ArgumentParser) -> None:
    """Gives a parser the flag `--set`."""
    flags.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="a.b=c",
        help="change one value of the config; may be given again",
    )


def check_written(path: pathlib.Path | None) -> None:
    """Refuses a file that could not be written at the end, before all the work.

    Raises:
        ConfigError: If there is no such folder.
    """
    if path is not None and not path.parent.is_dir():
        raise errors.ConfigError(f"--json: no such folder: {path.parent}")


def run_command(
    command: Callable[[argparse.Namespace], int],
    flags: argparse.ArgumentParser,
    argv: Sequence[str] | None,
) -> int:
    """Parses flags and runs a command; a mistake becomes one line and an exit code.

    Args:
        command: Gets the parsed flags, returns the exit code.
        flags: Of the command; gets `--debug`.
        argv: What to parse; None means the command line.
    """
    flags.add_argument(
        "--debug", action="store_true", help="show where an error came from"
    )
    flags.error = _wrong_flag  # type: ignore[method-assign]
    arguments = flags.parse_args(argv)
    progress.start()
    signals.install()
    code = _exit_code(command, arguments)
    distributed.exit(code)
    return code


def _exit_code(command, arguments):
    """The exit code of a command; what went wrong is said."""
    try:
        return command(arguments)
    except signals.Stopped as stop:
        if IN_CHILD in os.environ:
            return stop.code  # The process that handed the signal on says the line.
        again = "the same command goes on from what was saved last, if anything was"
        return fail(f"{stop}; {again}", stop.code)
    except Exception as mistake:
        if arguments.debug:
            raise
        if isinstance(mistake, OSError) and mistake.errno in _DISK:
            return fail(f"cannot write: {mistake}. Make room first", errors.EXIT_WRITE)
        for kind, code in errors.EXIT_CODES.items():
            if isinstance(mistake, kind):
                return fail(mistake, code)
        return fail(_one_line(mistake), errors.EXIT_FAILED)


def _one_line(mistake):
    """One line for what nobody expected."""
    kind = type(mistake).__name__
    lacks = mistake.name or "" if isinstance(mistake, ModuleNotFoundError) else ""
    if lacks.split(".")[0] == "tensorflow":
        return "TensorFlow is not installed: install it, or set KERAS_BACKEND=jax"
    if isinstance(mistake, MemoryError) or kind == "ResourceExhaustedError":
        return (
            f"out of memory: {mistake}. Lower `batch_size`, or take smaller networks; "
            "what was saved stays"
        )
    return f"{kind}: {mistake} (a bug in distill; --debug shows where)"


def _wrong_flag(message):
    """In one line; argparse alone would print the usage, too."""
    raise SystemExit(fail(f"{message}. --help shows the flags", errors.EXIT_BAD_INPUT))


def fail(mistake: object, code: int) -> int:
    """Says in one line on stderr what went wrong; returns the exit code."""
    print(f"error: {' '.join(str(mistake).split())}", file=sys.stderr)
    return code
