"""What all commands share: flags, one-line errors, exit codes.

The exit codes and what to do about each: `docs/exit_codes.md`.
"""

import argparse
import os
import pathlib
import sys
from collections.abc import Sequence

from absl.flags import argparse_flags

from distill import config
from distill.runtime import errors, onednn, progress
from distill.runtime.process.command import add_set_flag, fail

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
    add_set_flag(flags)
    flags.add_argument("--seed", type=int, help="short for --set seed=N")
    return flags


def overrides(arguments: argparse.Namespace) -> list[str]:
    """The assignments of `--set` and `--seed`."""
    seed = [] if arguments.seed is None else [f"seed={arguments.seed}"]
    return [*arguments.set, *seed]


def load_run(arguments: argparse.Namespace) -> config.Run:
    """What `--config`, `--set` and `--seed` say; TensorFlow is told of its kernels.

    Raises:
        ConfigError: See `config.load` and `onednn.choose`.
    """
    run = config.load(arguments.config, overrides(arguments))
    onednn.choose(run.hardware.onednn)
    return run


def default_folder(arguments: argparse.Namespace) -> pathlib.Path:
    """`runs/<config>`, with what `--set` and `--seed` changed in its name."""
    name = ",".join([pathlib.Path(arguments.config).stem, *overrides(arguments)])
    return pathlib.Path("runs") / name.replace(os.sep, "_")


def add_study_flags(flags: argparse.ArgumentParser) -> None:
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
        return fail(f"{wanted}. Received: {given}", errors.EXIT_BAD_INPUT)
    import importlib

    return importlib.import_module(f"distill.{argv[0]}").main(argv[1:])


def print_result(result: dict, folder: pathlib.Path) -> int:
    """Prints a report, and says what is wrong and where the page is.

    Args:
        result: As in `report.json`.
        folder: Of the run.

    Returns:
        The exit code.
    """
    from distill.report import console

    print(console.table(result))
    most = {name: size / 1e9 for name, size in result["peak_memory_bytes"].items()}
    held = ", ".join(f"{name} {size:.1f} GB" for name, size in most.items() if size)
    progress.say(f"    memory at most: {held}")
    for line in result["warnings"]:
        progress.say(f"warning: {line}")
    for line in result["failures"]:
        progress.say(f"failed: {line}")
    progress.say(f"==> {folder / 'report.html'}")
    return errors.EXIT_FAILED if result["failures"] else 0
