"""Prints one table of finished runs: means over seeds, differences, the best file."""

import argparse
import json
import pathlib
from collections.abc import Sequence

from absl.flags import argparse_flags

from distill.runtime import errors, files, formats
from distill.runtime.errors import ConfigError
from distill.runtime.process import command
from distill.studies.compare import aggregate, groups


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.aggregate RUN... [--against RUN...]`.

    Returns the exit code.
    """
    flags = argparse_flags.ArgumentParser(
        prog="python -m distill.aggregate",
        description="Prints one table of finished runs, file by file: means over the "
        "seeds of a config, and differences from other runs with the same seeds. Runs "
        "of other configs or data get rows of their own, with a note.",
    )
    flags.add_argument(
        "runs",
        nargs="+",
        type=pathlib.Path,
        help="folders with a report.json, or folders of such folders",
    )
    flags.add_argument(
        "--against",
        nargs="+",
        type=pathlib.Path,
        default=[],
        metavar="RUN",
        help="other runs, in the same order of seeds",
    )
    flags.add_argument(
        "--max-kb",
        type=float,
        metavar="N",
        help="name the file of at most so many kB that is the most accurate on the "
        "validation split",
    )
    flags.add_argument(
        "--json", type=pathlib.Path, help="also write the numbers to this file"
    )
    return command.run_command(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    command.check_written(arguments.json)
    if arguments.max_kb is not None and not arguments.max_kb > 0:
        raise ConfigError(f"--max-kb must be positive. Received: {arguments.max_kb}")
    several = groups.group_runs(groups.read_reports(arguments.runs))
    theirs = list(groups.read_reports(arguments.against).values())
    if theirs and len(several) > 1:
        raise ConfigError("--against needs runs of one config and one data set")
    rows = []
    for group in several:
        ours = list(group.values())
        named = {"runs": groups.label(group), "data": groups.describe_data(ours[0])}
        try:
            table = aggregate.aggregate(ours, theirs)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        rows += [{**(named if len(several) > 1 else {}), **row} for row in table]
    print(aggregate.table(rows))
    counts = " or ".join(map(str, sorted({len(group) for group in several})))
    print(
        f"Means over {counts} of a config's seeds; intervals of 95 %, paired by seed: "
        "they cover\nwhat another seed would change, not what other test examples "
        "would."
    )
    for line in groups.differences(several):
        print(line)
    if arguments.json is not None:
        files.atomic_write(arguments.json, json.dumps(rows, indent=1))
    return 0 if arguments.max_kb is None else _best(rows, arguments.max_kb)


def _best(rows, max_kb):
    """Prints the best small file of each data set; returns an exit code.

    It is `EXIT_FAILED` if a data set has no file of at most `max_kb` kB.
    """
    code = 0
    for data in dict.fromkeys(row.get("data") for row in rows):
        part = [row for row in rows if row.get("data") == data]
        description = f"file of at most {max_kb:g} kB" + (f" on {data}" if data else "")
        best = aggregate.best(part, max_kb)
        if best is None:
            print(f"no {description}")
            code = errors.EXIT_FAILED
            continue
        print(
            f"the best {description}: {best['name']}"
            + (f" of {best['runs']}" if data else "")
            + f", {formats.kilobytes(best['bytes']['mean'])} kB, "
            f"{formats.percent(best['accuracy']['mean'])} % of the test split"
        )
    return code


if __name__ == "__main__":
    raise SystemExit(main())
