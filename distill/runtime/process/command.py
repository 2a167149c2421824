"""A command as a process: a mistake is one line on stderr, and an exit code."""

import argparse
import difflib
import errno
import faulthandler
import functools
import importlib.util
import os
import pathlib
import re
import sys
from collections.abc import Callable, Iterable, Sequence

import distill
from distill.runtime import errors, packages, progress
from distill.runtime.process import completion, distributed, signals

IN_CHILD = "DISTILL_IN_CHILD"  # Set for the finishing process.
_DEBUG = "DISTILL_DEBUG"  # Set for processes that a command with --debug starts.
# The file into which the finishing process writes its error, for its parent to raise.
ERROR_FILE = "DISTILL_ERROR_FILE"
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
        "--debug",
        action="store_true",
        default=bool(os.environ.get(_DEBUG)),
        help="show where an error came from",
    )
    flags.add_argument(
        "--version", action="version", version=f"distill {distill.__version__}"
    )
    given = sys.argv[1:] if argv is None else argv
    flags.error = functools.partial(  # type: ignore[method-assign]
        _wrong_flag, flags, given
    )
    completion.answer(flags)
    arguments = flags.parse_args(argv)
    if arguments.debug:
        os.environ[_DEBUG] = "1"
    progress.start()
    signals.install()
    if IN_CHILD not in os.environ and not faulthandler.is_enabled():
        faulthandler.enable(2, all_threads=False)  # Of a child, its parent says it.
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
        lacks = _lacks(mistake) if isinstance(mistake, ModuleNotFoundError) else None
        code = errors.EXIT_BAD_INPUT if lacks else errors.EXIT_FAILED
        return fail(lacks or _one_line(mistake), code)


def _lacks(mistake):
    """Which package is not installed; None where it is a part of distill."""
    name = (mistake.name or "").split(".")[0]
    if importlib.util.find_spec(name or "distill") is not None:
        return None
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    other = ", or set KERAS_BACKEND=jax" * (name == backend == "tensorflow")
    return f"this needs {packages.say([name])}{other}"


def _one_line(mistake):
    """One line for what nobody expected."""
    kind = type(mistake).__name__
    if isinstance(mistake, MemoryError) or kind == "ResourceExhaustedError":
        return (
            f"out of memory: {mistake}. Lower `batch_size`, or take smaller networks; "
            "what was saved stays"
        )
    return f"{kind}: {mistake} (a bug in distill; --debug shows where)"


def _wrong_flag(flags, argv, message):
    """In one line; argparse alone would print the usage, too."""
    said = f"{message}.{_near(flags, argv, message)} --help shows the flags"
    raise SystemExit(fail(said, errors.EXIT_BAD_INPUT))


def _near(flags, argv, message):
    """The flag, or the choice, that was meant perhaps."""
    wrong = re.match(
        r"argument .*: invalid choice: '(.*)' \(choose from (.*)\)", message
    )
    if wrong:
        return did_you_mean(wrong[1], re.findall(r"[^', ]+", wrong[2]))
    known = flags._option_string_actions
    for given in (word.split("=")[0] for word in argv if word.startswith("--")):
        if not any(flag.startswith(given) for flag in known):
            return f" `{given}` is no flag.{did_you_mean(given, known)}"
    return ""


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """A hint at the nearest of what is known, or nothing."""
    close = difflib.get_close_matches(given, list(known), n=1)
    return f" Did you mean `{close[0]}`?" if close else ""


def fail(mistake: object, code: int) -> int:
    """Says in a line, on stderr or to the parent, what went wrong; returns the code."""
    line = " ".join(str(mistake).split())
    if path := os.environ.get(ERROR_FILE):
        pathlib.Path(path).write_text(line, errors="surrogateescape")
    else:
        print(f"error: {line}", file=sys.stderr)
    return code
