"""Scores how good synthetic examples are for distillation, against real ones."""

import argparse
import os
import pathlib
from collections.abc import Sequence

from distill import cli
from distill.config import answering
from distill.run.folder import claim
from distill.runtime import files, processor, progress
from distill.runtime.errors import ConfigError
from distill.runtime.process import command
from distill.runtime.trust import own_python
from distill.studies.score import plan
from distill.studies.speed import mixed_precision


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.score --config FILE`. Returns the exit code."""
    flags = cli.parser(
        "score",
        "Scores the run's generator, MUNGE and mixup against real data: by what a "
        "student learns from the run's teacher on them, and by their similarity to the "
        "test split.",
    )
    own_python.add_flag(flags)
    flags.add_argument(
        "--seeds",
        type=int,
        default=3,
        metavar="N",
        help="number of students for each set, with seeds counted from the config's "
        "`seed`; default: 3. Teacher and generators are those of the config's `seed`",
    )
    flags.add_argument(
        "--examples",
        type=int,
        default=plan.EXAMPLES,
        metavar="N",
        help="number of examples that a student is trained on; synthetic ones are all "
        f"new, real ones are repeated. Default: {plan.EXAMPLES:,}, since one pass over "
        "a few thousand real images would be too short to tell sets apart",
    )
    flags.add_argument(
        "--generator-epochs",
        type=int,
        nargs="+",
        metavar="N",
        help="score a generator of each of these lengths; default: the config's",
    )
    flags.add_argument(
        "--split",
        choices=("test", "validation"),
        default="test",
        help="the split that sets are measured on; default: test, as the score is "
        "defined. To choose a generator by its score, use validation",
    )
    flags.add_argument(
        "--out", type=pathlib.Path, help="folder; default: runs/score-<config>"
    )
    return command.run_command(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    folder = arguments.out or _default_folder(arguments)
    run = cli.load_run(arguments, folder)
    _check(run, arguments.seeds, arguments.examples)
    run = mixed_precision.settle(run, folder)
    rows = plan.plan(run, arguments.generator_epochs)
    processor.choose(run.hardware)
    with files.lock(folder):
        claim(folder, run)
        # Imports Keras, which is slow: a mistake in the config, or a folder that is in
        # use, is reported before.
        from distill.studies.score import report, score

        result = score.score(
            run, rows, arguments.seeds, arguments.examples, folder, arguments.split
        )
    print(report.table(result))
    for line in result["warnings"]:
        progress.say(f"warning: {line}")
    progress.say(f"==> {folder / 'score.html'}")
    return 0


def _check(run, seeds, examples):
    answering.require_network(run, "score")
    if seeds < 1:
        raise ConfigError(f"--seeds must be at least 1. Received: {seeds}")
    if examples < run.batch_size:
        raise ConfigError(
            "--examples must be at least a batch, `batch_size` = "
            f"{run.batch_size}. Received: {examples}"
        )


def _default_folder(arguments):
    """`runs/score-<config>`, with the flags that change the scores in its name."""
    length = [f"examples={arguments.examples}"]
    changes = [
        *cli.overrides(arguments),
        *length * (arguments.examples != plan.EXAMPLES),
    ]
    name = ",".join([f"score-{pathlib.Path(arguments.config).stem}", *changes])
    return pathlib.Path("runs") / name.replace(os.sep, "_")


if __name__ == "__main__":
    raise SystemExit(main())
