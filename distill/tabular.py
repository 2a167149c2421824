"""Compresses a forest on a table of numbers: trains each seed, and reports."""

import argparse
from collections.abc import Sequence

from distill import cli, config
from distill.runtime import progress
from distill.runtime.process import command
from distill.studies.tabular.study import Study


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.tabular --config FILE`. Returns the exit code."""
    flags = cli.parser("tabular", "Compresses a forest on a table of numbers.")
    cli.add_study_flags(flags)
    return command.run_command(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    study = config.read(Study, arguments.config, cli.overrides(arguments))
    table = study.data.load()
    for line in table.warnings():
        progress.say(f"    warning: {line}")
    folder = cli.study_folder(arguments)
    # Imports Keras or scikit-learn, which is slow: config mistakes come before.
    from distill.studies.tabular import conductor, report

    result = conductor.run_study(study, table, folder)
    print(report.table(result))
    progress.say(f"==> {folder / 'report.html'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
