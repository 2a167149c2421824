"""Lists the files that runs no longer need, and removes them with `--yes`."""

import argparse
import pathlib
from collections.abc import Sequence

from absl.flags import argparse_flags

from distill.run.folder import leftovers
from distill.runtime import formats
from distill.runtime.errors import ConfigError
from distill.runtime.process import command


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.clean [RUNS] [--yes]`. Returns the exit code."""
    flags = argparse_flags.ArgumentParser(
        prog="python -m distill.clean",
        description="Lists what can be removed from a folder of runs: cached answers, "
        "teachers that no run uses, checkpoints of finished runs. Runs that are "
        "unfinished or in use stay, with all that they may use.",
    )
    flags.add_argument(
        "runs",
        nargs="?",
        type=pathlib.Path,
        default=pathlib.Path("runs"),
        help="the folder that contains the runs; default: runs",
    )
    flags.add_argument("--yes", action="store_true", help="remove the files")
    return command.run_command(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    if not arguments.runs.is_dir():
        raise ConfigError(f"no such folder: {arguments.runs}")
    removable, retained = leftovers.find(arguments.runs)
    print(_table(removable, retained))
    size = formats.file_size(sum(item.size for item in removable))
    if not arguments.yes:
        print(f"{size} can be removed" + ("; --yes removes them" if removable else ""))
        return 0
    for item in removable:
        leftovers.remove(item)
    print(f"{size} removed")
    return 0


def _table(removable, retained):
    import tabulate

    rows = [
        (item.what, item.path, formats.file_size(item.size), item.why)
        for item in removable
    ]
    rows += [("stays", item.path, "", item.why) for item in retained]
    return tabulate.tabulate(
        rows,
        ["what", "where", "size", "why"],
        colalign=["left"] * 2 + ["right", "left"],
    )


if __name__ == "__main__":
    raise SystemExit(main())
