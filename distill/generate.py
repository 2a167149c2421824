"""Compresses a generator of images: trains a classifier and each seed, and reports."""

import argparse
from collections.abc import Sequence

from distill import cli
from distill.run.arguments import read_config
from distill.runtime import errors, progress
from distill.runtime.process import command
from distill.runtime.trust import own_python
from distill.studies.generate.study import Study


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.generate --config FILE`. Returns the exit code."""
    flags = cli.parser(
        "generate", "Compresses a generator that turns images into other classes."
    )
    own_python.add_flag(flags)
    cli.add_study_flags(flags)
    return command.run_command(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    folder, overrides = cli.study_folder(arguments), cli.overrides(arguments)
    study = read_config(Study, arguments.config, overrides, folder)
    # Imports Keras or scikit-learn, which is slow: config mistakes come before.
    from distill.studies.generate import conductor, report

    result = conductor.run_study(study, folder)
    print(report.table(result))
    for line in result["failures"]:
        progress.say(f"failed: {line}")
    progress.say(f"==> {folder / 'report.html'}")
    return errors.EXIT_FAILED if result["failures"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
