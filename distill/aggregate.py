"""Every model of several finished runs: means over them, and differences."""

import argparse
import json
import pathlib
from collections.abc import Sequence

from absl.flags import argparse_flags

from distill.runtime import files
from distill.runtime.errors import ConfigError
from distill.runtime.process import command
from distill.studies.compare import aggregate


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.aggregate RUN... [--against RUN...]`. The exit code."""
    flags = argparse_flags.ArgumentParser(
        prog="python -m distill.aggregate",
        description="Means over finished runs of one config with several seeds, file "
        "by file; and how they differ from other runs of the same seeds.",
    )
    flags.add_argument(
        "runs", nargs="+", type=pathlib.Path, help="folders with a report.json"
    )
    flags.add_argument(
        "--against",
        nargs="+",
        type=pathlib.Path,
        default=[],
        metavar="RUN",
        help="other runs, in the same order of seeds",
    )
    flags.add_argument("--json", type=pathlib.Path, help="also write the numbers there")
    return command.run_command(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    command.check_written(arguments.json)
    ours = [aggregate.read_report(folder) for folder in arguments.runs]
    theirs = [aggregate.read_report(folder) for folder in arguments.against]
    try:
        found = aggregate.aggregate(ours, theirs)
    except ValueError as mistake:
        raise ConfigError(str(mistake)) from None
    print(aggregate.table(found))
    if arguments.json is not None:
        files.atomic_write(arguments.json, json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
