"""What all commands share: flags, one-line errors, exit codes.

The exit codes and what to do about each: `docs/exit_codes.md`.
"""

import argparse
import errno
import os
import pathlib
import sys
from collections.abc import Callable, Sequence

from absl.flags import argparse_flags

from distill import (
    checkpoint,
    config,
    data,
    finish,
    kernels,
    processes,
    progress,
    resume,
    run_folder,
    scan,
    signals,
)

COMMANDS = (
    "train",
    "evaluate",
    "export",
    "check",
    "doctor",
    "finish",
    "inspect",
    "aggregate",
    "compare",
    "score",
    "tabular",
    "generate",
    "benchmark",
)

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_UNTRUSTED = 3
EXIT_WRITE = 4
EXIT_DIVERGED = 6
EXIT_BUSY = 7
EXIT_PEER = processes.EXIT_PEER

_CODES: dict[type[BaseException], int] = {
    config.ConfigError: EXIT_BAD_INPUT,
    data.DataError: EXIT_BAD_INPUT,
    checkpoint.CheckpointError: EXIT_BAD_INPUT,
    scan.Untrusted: EXIT_UNTRUSTED,
    run_folder.WriteError: EXIT_WRITE,
    run_folder.FolderBusy: EXIT_BUSY,
    resume.Diverged: EXIT_DIVERGED,
    finish.FinishError: EXIT_FAILED,
    processes.PeerLost: EXIT_PEER,
}

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)


def parser(command: str, description: str) -> argparse.ArgumentParser:
    """A parser with the flags of every command.

    Args:
        command: The command's name, such as `train`.
        description: Shown by `--help`.
    """
    flags = argparse_flags.ArgumentParser(
        prog=f"python -m distill.{command}", description=description
    )
    flags.add_argument(
        "--config", required=True, help="a YAML file, or the name of a shipped one"
    )
    add_set(flags)
    flags.add_argument("--seed", type=int, help="short for --set seed=N")
    return flags


def add_set(flags: argparse.ArgumentParser) -> None:
    """Gives a parser the flag `--set`."""
    flags.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="a.b=c",
        help="change one value of the config; may be given again",
    )


def overrides(arguments: argparse.Namespace) -> list[str]:
    """The assignments of `--set` and `--seed`."""
    seed = [] if arguments.seed is None else [f"seed={arguments.seed}"]
    return [*arguments.set, *seed]


def run_of(arguments: argparse.Namespace) -> config.Run:
    """What `--config`, `--set` and `--seed` say; TensorFlow is told of its kernels.

    Raises:
        ConfigError: See `config.load` and `kernels.choose`.
    """
    run = config.load(arguments.config, overrides(arguments))
    kernels.choose(run)
    return run


def default_folder(arguments: argparse.Namespace) -> pathlib.Path:
    """`runs/<config>`, with what `--set` and `--seed` changed in its name."""
    name = ",".join([pathlib.Path(arguments.config).stem, *overrides(arguments)])
    return pathlib.Path("runs") / name.replace(os.sep, "_")


def add_seeds(flags: argparse.ArgumentParser) -> None:
    """Gives the parser of a study over several seeds `--seeds` and `--out`."""
    flags.add_argument(
        "--seeds",
        action="append",
        type="seeds={}".format,
        dest="set",
        default=argparse.SUPPRESS,
        metavar="N",
        help="short for --set seeds=N",
    )
    flags.add_argument(
        "--out", type=pathlib.Path, help="folder of the study; default: runs/<config>"
    )


def study_folder(arguments: argparse.Namespace) -> pathlib.Path:
    """`--out`, or `default_folder`: more seeds go on in the same folder."""
    arguments.set = [text for text in arguments.set if text[:6] != "seeds="]
    return arguments.out or default_folder(arguments)


def check_written(path: pathlib.Path | None) -> None:
    """Refuses a file that could not be written at the end, before all the work.

    Raises:
        ConfigError: If there is no such folder.
    """
    if path is not None and not path.parent.is_dir():
        raise config.ConfigError(f"--json: no such folder: {path.parent}")


def guarded(
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
    code = _answered(command, arguments)
    processes.end(code)
    return code


def _answered(command, arguments):
    """The exit code of a command; what went wrong is said."""
    try:
        return command(arguments)
    except signals.Stopped as stop:
        if finish.IN_CHILD in os.environ:
            return stop.code  # The process that handed the signal on says the line.
        again = "the same command goes on from what was saved last, if anything was"
        return _fail(f"{stop}; {again}", stop.code)
    except Exception as mistake:
        if arguments.debug:
            raise
        if isinstance(mistake, OSError) and mistake.errno in _DISK:
            return _fail(f"cannot write: {mistake}. Make room first", EXIT_WRITE)
        for kind, code in _CODES.items():
            if isinstance(mistake, kind):
                return _fail(mistake, code)
        return _fail(_explained(mistake), EXIT_FAILED)


def _explained(mistake):
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
    raise SystemExit(_fail(f"{message}. --help shows the flags", EXIT_BAD_INPUT))


def _fail(mistake, code):
    print(f"error: {' '.join(str(mistake).split())}", file=sys.stderr)
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """The console script `distill`: `distill train --config ...`."""
    argv = sys.argv[1:] if argv is None else list(argv)
    usage = f"usage: distill {{{','.join(COMMANDS)}}} [flags]; distill train --help"
    if argv[:1] in (["-h"], ["--help"]):
        print(f"{usage}\n\nTeacher-student compression, from one config.")
        return 0
    if not argv or argv[0] not in COMMANDS:
        given = argv[0] if argv else "nothing"
        wanted = f"the command must be one of {', '.join(COMMANDS)}"
        return _fail(f"{wanted}. Received: {given}", EXIT_BAD_INPUT)
    import importlib

    return importlib.import_module(f"distill.{argv[0]}").main(argv[1:])
