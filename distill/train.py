"""Trains, finishes and measures the run of one config."""

import argparse
import pathlib
from collections.abc import Sequence

import distill
from distill import cli
from distill.runtime.process import command, distributed
from distill.runtime.trust import own_python
from distill.studies.speed import mixed_precision


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.train --config FILE`. Returns the exit code."""
    flags = cli.parser("train", "Trains teacher and student, finishes and measures.")
    own_python.add_flag(flags)
    flags.add_argument(
        "--out", type=pathlib.Path, help="folder of the run; default: runs/<config>"
    )
    return command.run_command(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    target = arguments.out or cli.default_folder(arguments)
    run = cli.load_run(arguments, target)
    with (
        distributed.join(run.hardware.strategy),
        distributed.working_folder(target) as folder,
    ):
        # Imports Keras, which is slow: mistakes in the config are reported before. And
        # processes must have joined before JAX looks for its devices.
        from distill.run import conductor

        run = mixed_precision.settle(run, folder)
        result = conductor.train(run, folder)
        return 0 if result is None else cli.print_result(result, folder)


distill.make_callable(__name__)

if __name__ == "__main__":
    raise SystemExit(main())
