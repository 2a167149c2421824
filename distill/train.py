"""The conductor: one config in, measured TFLite students out."""

import argparse
import pathlib
from collections.abc import Sequence

from distill import cli
from distill.run import conductor
from distill.runtime import errors, progress
from distill.runtime.process import command, distributed


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.train --config FILE`. Returns the exit code."""
    flags = cli.parser("train", "Trains teacher and student, finishes and measures.")
    flags.add_argument(
        "--out", type=pathlib.Path, help="folder of the run; default: runs/<config>"
    )
    return command.run_command(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    run = cli.run_of(arguments)
    wanted = arguments.out or cli.default_folder(arguments)
    with (
        distributed.join(run.hardware.strategy),
        distributed.working_folder(wanted) as folder,
    ):
        result = conductor.train(run, folder)
        return 0 if result is None else told(result, folder)


def told(result: dict, folder: pathlib.Path) -> int:
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


if __name__ == "__main__":
    raise SystemExit(main())
