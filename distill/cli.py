"""The parts that all commands share: flags, one-line errors, exit codes.

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
from distill import config, data
from distill.run.arguments import read_config, read_for_model
from distill.runtime import errors, onednn, processor, progress
from distill.runtime.process import completion
from distill.runtime.process.command import add_set_flag, did_you_mean, fail

COMMANDS = {
    "train": "teacher, student and files, from one config",
    "check": "what a config means, and every option (--explain); trains nothing",
    "doctor": "which files can be made of a network, and what prevents others",
    "finish": "files of a network trained elsewhere, or one that keeps a budget",
    "evaluate": "accuracy, size and latency of one file",
    "export": "plain TFLite files of a trained .keras model",
    "pack": "a .tflite file, smaller for transfer and storage, without loss",
    "unpack": "the .tflite file that was packed, byte for byte",
    "inspect": "what a .tflite file contains, and what it was made of",
    "compare": "configs and their controls over several seeds",
    "aggregate": "one table of finished runs, and the best file of a size",
    "clean": "what finished runs no longer need, and its removal",
    "benchmark": "how fast a config trains, and what it waits for",
    "score": "how good synthetic images are for distillation",
    "generate": "compress a generator that turns images into other classes",
    "tabular": "compress a forest on a table of numbers",
}


def parser(
    command: str, description: str, *, needs_config: bool = True
) -> argparse.ArgumentParser:
    """A parser with the flags of every command.

    Args:
        command: The command's name, such as `train`.
        description: The description that `--help` prints.
        needs_config: Whether `--config` must be given.
    """
    flags = argparse_flags.ArgumentParser(
        prog=f"python -m distill.{command}", description=description
    )
    action = flags.add_argument(
        "--config", required=needs_config, help="a YAML file, or a shipped one's name"
    )
    action.completer = _complete_config  # type: ignore[attr-defined]
    add_set_flag(flags)
    flags.add_argument("--seed", type=int, help="short for --set seed=N")
    return flags


def overrides(arguments: argparse.Namespace) -> list[str]:
    """The assignments of `--set` and `--seed`."""
    seed = [] if arguments.seed is None else [f"seed={arguments.seed}"]
    return [*arguments.set, *seed]


def load_run(
    arguments: argparse.Namespace, folder: pathlib.Path | None = None
) -> config.Run:
    """Loads the run of `--config`, `--set` and `--seed`, and applies `processor`.

    Args:
        arguments: The parsed flags.
        folder: See `read_config`.

    Raises:
        ConfigError: See `read_config` and `processor.choose`.
    """
    run = read_config(config.Run, arguments.config, overrides(arguments), folder)
    processor.choose(run.hardware)
    return run


def dataset(
    given: str, model: pathlib.Path, assignments: Sequence[str] = ()
) -> data.Dataset:
    """The data set of a config: of a run, or of a finish with its `model` replaced.

    Args:
        given: The config, as for `config.read`.
        model: The model file at hand.
        assignments: See `overrides`.

    Raises:
        ConfigError: See `config.read`.
    """
    run = read_for_model(given, model, assignments, only_data=True)
    if isinstance(run, config.Run):
        # Not its threads, which are those of the machine that trained.
        onednn.choose(run.hardware.onednn)
    return run.data


def default_folder(arguments: argparse.Namespace) -> pathlib.Path:
    """`runs/<config>`, with the assignments of `--set` and `--seed` in its name."""
    return folder_of([pathlib.Path(arguments.config).stem, *overrides(arguments)])


def folder_of(words: Sequence[str]) -> pathlib.Path:
    """The folder in `runs` that is named by the words."""
    return pathlib.Path("runs") / ",".join(words).replace(os.sep, "_")


def add_study_flags(flags: argparse.ArgumentParser) -> None:
    """Adds `--seeds` and `--out` to the parser of a study over several seeds."""
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
    """`--out`, or else `default_folder` without `seeds`.

    So the same command with more seeds continues in the same folder.
    """
    others = [text for text in arguments.set if text[:6] != "seeds="]
    named = argparse.Namespace(**{**vars(arguments), "set": others})
    return arguments.out or default_folder(named)


def container_parser(
    command: str, description: str, kinds: tuple[str, str]
) -> argparse.ArgumentParser:
    """The parser of a command that makes one file from another.

    Args:
        command: The command's name.
        description: Shown by `--help`.
        kinds: The suffixes of the input and of the output file.
    """
    flags = argparse_flags.ArgumentParser(
        prog=f"python -m distill.{command}", description=description
    )
    source, target = kinds
    flags.add_argument("model", type=pathlib.Path, help=f"a {source} file")
    flags.add_argument(
        "--out",
        type=pathlib.Path,
        help=f"a {target} file; default: beside the {source} file",
    )
    return flags


def output_file(arguments: argparse.Namespace, kind: str) -> pathlib.Path:
    """The file to write: `--out`, or the input's name with this suffix.

    Raises:
        ConfigError: If it has another suffix, or its folder does not exist.
    """
    out = arguments.out or arguments.model.with_suffix(kind)
    if out.suffix != kind or out.is_dir():
        raise errors.ConfigError(f"--out must be a {kind} file. Received: {out}")
    if not out.parent.is_dir():
        raise errors.ConfigError(f"--out: no such folder: {out.parent}")
    return out


def main(argv: Sequence[str] | None = None) -> int:
    """The console script `distill`: `distill train --config ...`."""
    argv = sys.argv[1:] if argv is None else list(argv)
    # For the completion of a command's flags, that command's parser must answer.
    if completed := completion.command(COMMANDS):
        argv = [completed]
    if argv[:1] in (["-h"], ["--help"]):
        print(_help())
        return 0
    if argv[:1] == ["--version"]:
        print(f"distill {distill.__version__}")
        return 0
    if not argv or argv[0] not in COMMANDS:
        received = argv[0] if argv else "nothing"
        hint = did_you_mean(received, COMMANDS)
        rule = f"the command must be one of {', '.join(COMMANDS)}"
        return fail(f"{rule}.{hint} Received: {received}", errors.EXIT_BAD_INPUT)
    return importlib.import_module(f"distill.{argv[0]}").main(argv[1:])


def _help():
    """The text of `distill --help`."""
    lines = [f"  {name:10} {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: distill COMMAND [flags], or python -m distill.COMMAND [flags]",
            "",
            "Teacher-student compression, from one config to measured TFLite files.",
            "",
            *lines,
            "",
            "distill COMMAND --help lists its flags, distill --version the version.",
        ]
    )


def _complete_config(prefix: str, **_: Any) -> list[str]:
    """The completions of a config: shipped ones, and files in the prefix's folder."""
    shipped = (file.name for place in config.CONFIGS for file in place.glob("*.yaml"))
    folder = pathlib.Path(prefix).parent if "/" in prefix else pathlib.Path()
    return sorted({*shipped, *map(str, folder.glob("*.yaml"))})


def print_result(result: dict, folder: pathlib.Path) -> int:
    """Prints a run's table, memory, warnings, failures, and the path of its page.

    Args:
        result: The content of `report.json`.
        folder: The run's folder.

    Returns:
        The exit code: `EXIT_FAILED` if a file broke a promise.
    """
    from distill.report import console

    print(console.table(result))
    peaks = {name: size / 1e9 for name, size in result["peak_memory_bytes"].items()}
    text = ", ".join(f"{name} {size:.1f} GB" for name, size in peaks.items() if size)
    progress.say(f"    memory at most: {text}")
    for line in result["warnings"]:
        progress.say(f"warning: {line}")
    for line in result["failures"]:
        progress.say(f"failed: {line}")
    progress.say(f"==> {folder / 'report.html'}")
    return errors.EXIT_FAILED if result["failures"] else 0
