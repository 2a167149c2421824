"""How good made examples are for distillation: scored beside the real ones."""

import argparse
import dataclasses
import json
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from distill import cli, config
from distill.data.synthetic import sources
from distill.run import conductor
from distill.run.folder import check_ground, claim
from distill.runtime import files, onednn, progress
from distill.runtime.errors import ConfigError
from distill.runtime.process import command
from distill.teach.networks import checks

EXAMPLES = 20_000


class Row(NamedTuple):
    """A set of examples that is scored.

    Attributes:
        name: Of its files.
        title: For people.
        run: The run, its only stage the one that the students are taught by.
    """

    name: str
    title: str
    run: config.Run

    @property
    def source(self) -> sources.Synthetic | None:
        """What makes the examples; None for real ones."""
        return self.run.stages[0].synthetic


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.score --config FILE`. Returns the exit code."""
    flags = cli.parser(
        "score",
        "Scores the run's generator, MUNGE and mixup beside real data: what a student "
        "learns of them from the run's teacher, and how like the test split they are.",
    )
    flags.add_argument(
        "--seeds",
        type=int,
        default=3,
        metavar="N",
        help="students for each set, from the config's `seed` on; 3 by default. "
        "Teacher and generators are those of the config's `seed`",
    )
    flags.add_argument(
        "--examples",
        type=int,
        default=EXAMPLES,
        metavar="N",
        help="that a student is taught, each made anew; real ones come again and "
        f"again. {EXAMPLES:,} by default: one pass over a few thousand real "
        "images would be too short to tell sets apart",
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
        help="what sets are measured on; test by default, as the score is defined. "
        "To choose a generator by its score, take validation",
    )
    flags.add_argument(
        "--out", type=pathlib.Path, help="folder; default: runs/score-<config>"
    )
    return command.run_command(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    run = cli.run_of(arguments)
    _check(run, arguments.seeds, arguments.examples)
    rows = plan(run, arguments.generator_epochs)
    folder = arguments.out or _default_folder(arguments)
    result = score(
        run, rows, arguments.seeds, arguments.examples, folder, arguments.split
    )
    from distill import score_report

    print(score_report.table(result))
    for line in result["warnings"]:
        progress.say(f"warning: {line}")
    progress.say(f"==> {folder / 'score.html'}")
    return 0


def plan(run: config.Run, generator_epochs: Sequence[int] | None = None) -> list[Row]:
    """The sets to score, the real one first; nothing is read or written.

    A student is taught as in the run's first stage with `kd`: its method and
    optimizer, but down to a rate of zero by `cosine`, and by the teacher alone.

    Args:
        run: The run. A source that one of its stages has keeps its options there,
            but for `p_fake`, which is 1, and `min_confidence`, which is 0.
        generator_epochs: Lengths of generators; None means the run's own.

    Raises:
        ConfigError: If the run has no stage with `kd`, or a length fits nothing.
    """
    found = [stage for stage in run.stages if stage.name == "kd"]
    if not found:
        raise ConfigError(
            "`stages` must have one whose trainer is kd, by which scored examples are "
            f"taught. Received: {', '.join(stage.name for stage in run.stages)}"
        )
    taught = dataclasses.replace(
        found[0],
        epochs=1,
        schedule="cosine",
        decay_epochs=(),
        task_weight=0.0,
        synthetic=None,
    )
    alone = dataclasses.replace(run, stages=(taught,), controls=(), finish=())
    rows = [Row("real", "real, training split", alone)]
    for part in _generators(run, generator_epochs):
        source = _source(run, sources.Gan)
        made = dataclasses.replace(_with(alone, source), generator=part)
        title = f"generator, {part.epochs} epoch{'s' * (part.epochs > 1)}"
        rows.append(Row(f"gan_{part.epochs}", title, made))
    for kind in (sources.Munge, sources.Mixup):
        source = _source(run, kind)
        name = config.name_of(source)
        rows.append(Row(name, name, _with(alone, source)))
    return rows


def score(
    run: config.Run,
    rows: Sequence[Row],
    seeds: int,
    examples: int,
    folder: pathlib.Path,
    split: str = "test",
) -> dict:
    """Scores every set over every seed; what is finished is not done again.

    Args:
        run: The run.
        rows: See `plan`.
        seeds: Students for each row.
        examples: That a student is taught.
        folder: Made if need be; `score.json` and `score.html` are written there.
        split: `test` or `validation`: what sets are measured on.

    Returns:
        The scores, as in `score.json`.

    Raises:
        ConfigError: If the folder holds scores of another config or length.
        As `train.train`, otherwise.
    """
    onednn.choose(run)
    checks.check_kernels(run)
    with files.lock(folder):
        claim(folder, run)
        with progress.step("data", f"reading {config.name_of(run.data)}"):
            splits = run.data.load()
        ground = {**conductor.ground(run, splits), "examples": examples, "split": split}
        check_ground(folder, ground)
        from distill import score_report, scoring
        from distill.measure import quality
        from distill.teach import generator, teacher

        held = {name: len(getattr(splits, name).labels) for name in ("train", split)}
        if min(held.values()) <= quality.NEIGHBOURS:
            raise ConfigError(
                f"scores need more than {quality.NEIGHBOURS} examples in each split. "
                f"Received: {held}"
            )

        network, _ = teacher.obtain(run, splits, folder)
        lasting = scoring.epochs(splits.train, run.batch_size, examples)
        rows = [_lasting(row, lasting) for row in rows]
        makers = [generator.obtain(row.run, splits, folder)[0] for row in rows]
        bench = scoring.Bench(splits, network, folder, split)
        for seed in range(run.seed, run.seed + seeds):
            for row, maker in zip(rows, makers, strict=True):
                bench.measure(row, seed, maker)
        result = bench.gather(run, rows, seeds)
        page = score_report.html(result)
        files.atomic_write(folder / "score.html", page)
        files.atomic_write(folder / "score.json", json.dumps(result, indent=1))
    return result


def _check(run, seeds, examples):
    if seeds < 1:
        raise ConfigError(f"--seeds must be at least 1. Received: {seeds}")
    if examples < run.batch_size:
        raise ConfigError(
            "--examples must be at least a batch, `batch_size` = "
            f"{run.batch_size}. Received: {examples}"
        )


def _generators(run, lengths):
    """The run's generator in every length that is wanted."""
    if run.generator is None:
        if lengths:
            raise ConfigError(
                "--generator-epochs needs a `generator` in the config. Received: none"
            )
        return []
    if lengths is None:
        return [run.generator]
    if min(lengths) < 1 or len(set(lengths)) < len(lengths):
        raise ConfigError(
            "--generator-epochs must be different numbers, each at least 1. "
            f"Received: {' '.join(map(str, lengths))}"
        )
    return [dataclasses.replace(run.generator, epochs=epochs) for epochs in lengths]


def _source(run, kind):
    """A source with the options that the run has for it, if any; it makes all."""
    learners = [run.stages, *(control.stages for control in run.controls)]
    given = [stage.synthetic for stages in learners for stage in stages]
    own = next((source for source in given if type(source) is kind), kind(p_fake=1.0))
    return dataclasses.replace(own, p_fake=1.0, min_confidence=0.0)


def _with(run, source):
    stage = dataclasses.replace(run.stages[0], synthetic=source)
    return dataclasses.replace(run, stages=(stage,))


def _lasting(row, epochs):
    stage = dataclasses.replace(row.run.stages[0], epochs=epochs)
    return row._replace(run=dataclasses.replace(row.run, stages=(stage,)))


def _default_folder(arguments):
    """`runs/score-<config>`, with what flags changed of it in its name."""
    length = [f"examples={arguments.examples}"]
    changes = [*cli.overrides(arguments), *length * (arguments.examples != EXAMPLES)]
    name = ",".join([f"score-{pathlib.Path(arguments.config).stem}", *changes])
    return pathlib.Path("runs") / name.replace(os.sep, "_")


if __name__ == "__main__":
    raise SystemExit(main())
