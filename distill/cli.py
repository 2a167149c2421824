"""What all commands share: flags, one-line errors, exit codes.

Exit codes: 0 all well; 1 a file broke its promise, or a step died; 2 bad input;
7 the run folder is in use; 130 interrupted.
"""

import argparse
import os
import pathlib
import sys
from collections.abc import Callable, Sequence

from absl.flags import argparse_flags

from distill import config, data, finish, progress, run_folder

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_BUSY = 7
EXIT_INTERRUPTED = 130


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
    flags.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="a.b=c",
        help="change one value of the config; may be given again",
    )
    flags.add_argument("--seed", type=int, help="short for --set seed=N")
    return flags


def overrides(arguments: argparse.Namespace) -> list[str]:
    """The assignments of `--set` and `--seed`."""
    seed = [] if arguments.seed is None else [f"seed={arguments.seed}"]
    return [*arguments.set, *seed]


def default_folder(arguments: argparse.Namespace) -> pathlib.Path:
    """`runs/<config>`, with what `--set` and `--seed` changed in its name."""
    name = ",".join([pathlib.Path(arguments.config).stem, *overrides(arguments)])
    return pathlib.Path("runs") / name.replace(os.sep, "_")


def guarded(main: Callable[[], int]) -> int:
    """Runs a command; an expected mistake becomes one line and an exit code."""
    progress.start()
    try:
        return main()
    except (config.ConfigError, data.DataError) as mistake:
        return _fail(mistake, EXIT_BAD_INPUT)
    except run_folder.FolderBusy as mistake:
        return _fail(mistake, EXIT_BUSY)
    except finish.FinishError as mistake:
        return _fail(mistake, EXIT_FAILED)
    except KeyboardInterrupt:
        return _fail(
            "interrupted; the same command goes on after the last finished stage",
            EXIT_INTERRUPTED,
        )


def _fail(mistake, code):
    print(f"error: {' '.join(str(mistake).split())}", file=sys.stderr)
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """The console script `distill`: `distill train --config ...`."""
    commands = ("train", "evaluate", "export", "check")
    argv = sys.argv[1:] if argv is None else list(argv)
    usage = f"usage: distill {{{','.join(commands)}}} [flags]; distill train --help"
    if argv[:1] in (["-h"], ["--help"]):
        print(f"{usage}\n\nTeacher-student compression, from one config.")
        return 0
    if not argv or argv[0] not in commands:
        print(usage, file=sys.stderr)
        return EXIT_BAD_INPUT
    import importlib

    return importlib.import_module(f"distill.{argv[0]}").main(argv[1:])
