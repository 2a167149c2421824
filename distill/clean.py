"""Says what runs have left that may go, and removes it when told."""

import argparse
import pathlib
from collections.abc import Sequence

from absl.flags import argparse_flags

from distill.run import leftovers
from distill.runtime import formats
from distill.runtime.errors import ConfigError
from distill.runtime.process import command


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.clean [RUNS] [--yes]`. The exit code."""
    flags = argparse_flags.ArgumentParser(
        prog="python -m distill.clean",
        description="Says what may go of a folder of runs: kept answers, teachers that "
        "no run uses, checkpoints of finished runs. Runs that are unfinished or in use "
        "are left as they are, with all that they may want.",
    )
    flags.add_argument(
        "runs",
        nargs="?",
        type=pathlib.Path,
        default=pathlib.Path("runs"),
        help="the folder that runs lie in; default: runs",
    )
    flags.add_argument("--yes", action="store_true", help="remove it")
    return command.run_command(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    if not arguments.runs.is_dir():
        raise ConfigError(f"no such folder: {arguments.runs}")
    found, left = leftovers.find(arguments.runs)
    print(_table(found, left))
    size = formats.file_size(sum(piece.size for piece in found))
    if not arguments.yes:
        print(f"{size} may go" + ("; --yes removes it" if found else ""))
        return 0
    for piece in found:
        leftovers.remove(piece)
    print(f"{size} removed")
    return 0


def _table(found, left):
    import tabulate

    rows = [
        (piece.what, piece.path, formats.file_size(piece.size), piece.why)
        for piece in found
    ]
    rows += [("stays", piece.path, "", piece.why) for piece in left]
    return tabulate.tabulate(
        rows,
        ["what", "where", "size", "why"],
        colalign=["left"] * 2 + ["right", "left"],
    )


if __name__ == "__main__":
    raise SystemExit(main())
