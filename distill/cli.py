"""What all commands share: flags, one-line errors, exit codes.

The exit codes and what to do about each: `docs/exit_codes.md`.
"""

import argparse
import importlib
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from absl.flags import argparse_flags

import distill
from distill import config
from distill.runtime import errors, onednn, progress
from distill.runtime.process import completion
from distill.runtime.process.command import add_set_flag, did_you_mean, fail

COMMANDS = {
    "train": "teacher, student and files, from one config",
    "check": "what a config means, and every option (--explain); trains nothing",
    "doctor": "which files a network can become, and what is in the way",
    "finish": "files of a network trained elsewhere, or one that keeps a budget",
    "evaluate": "accuracy, size and latency of one file",
    "export": "plain TFLite files of a trained .keras model",
    "inspect": "what a .tflite file holds, and says of itself",
    "compare": "configs and their controls over several seeds",
    "aggregate": "one table of finished runs, and the best file of a size",
    "clean": "what finished runs have left that may go",
    "benchmark": "how fast a config trains, and what it waits for",
    "score": "how good made images are to distil on",
    "generate": "compress a generator that turns images into other classes",
    "tabular": "compress a forest on a table of numbers",
}


def parser(command: str, description: str) -> argparse.ArgumentParser:
    """A parser with the flags of every command.

    Args:
        command: The command's name, such as `train`.
        description: Shown by `--help`.
    """
    flags = argparse_flags.ArgumentParser(
        prog=f"python -m distill.{command}", description=description
    )
    given = flags.add_argument(
        "--config", required=True, help="a YAML file, or the name of a shipped one"
    )
    given.completer = _configs  # type: ignore[attr-defined]
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
    if wanted := completion.command(COMMANDS):
        argv = [wanted]
    if argv[:1] in (["-h"], ["--help"]):
        print(_help())
        return 0
    if argv[:1] == ["--version"]:
        print(f"distill {distill.__version__}")
        return 0
    if not argv or argv[0] not in COMMANDS:
        given = argv[0] if argv else "nothing"
        hint = did_you_mean(given, COMMANDS)
        known = f"the command must be one of {', '.join(COMMANDS)}"
        return fail(f"{known}.{hint} Received: {given}", errors.EXIT_BAD_INPUT)
    return importlib.import_module(f"distill.{argv[0]}").main(argv[1:])


def _help():
    """What each command is for."""
    listed = [f"  {name:10} {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: distill COMMAND [flags], or python -m distill.COMMAND [flags]",
            "",
            "Teacher-student compression, from one config to measured TFLite files.",
            "",
            *listed,
            "",
            "distill COMMAND --help says its flags, distill --version the version.",
        ]
    )


def _configs(prefix: str, **_: Any) -> list[str]:
    """Configs that a word may become: shipped ones, and files of that folder."""
    shipped = (file.name for place in config.CONFIGS for file in place.glob("*.yaml"))
    folder = pathlib.Path(prefix).parent if "/" in prefix else pathlib.Path()
    return sorted({*shipped, *map(str, folder.glob("*.yaml"))})


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
