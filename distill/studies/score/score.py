"""Scores every source over seeds; a finished score is not computed again."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence

from distill import config, data
from distill.config import lessons
from distill.measure import quality
from distill.run import preflight, training
from distill.run.folder import check_ground
from distill.runtime import files
from distill.runtime.errors import ConfigError
from distill.studies.score import plan, report, scorer
from distill.teach import generator, teacher
from distill.teach.workspace import Workspace


def score(
    run: config.Run,
    rows: Sequence[plan.Row],
    seeds: int,
    examples: int,
    folder: pathlib.Path,
    split: str = "test",
) -> dict:
    """Scores every set over every seed; skips what is finished.

    Args:
        run: The run.
        rows: The sets to score; see `plan`.
        seeds: Number of students for each row.
        examples: Number of examples that a student is trained on.
        folder: Locked and claimed for `run`; `score.json` and `score.html` are
            written there.
        split: The split that sets are measured on, `test` or `validation`.

    Returns:
        The scores, as in `score.json`.

    Raises:
        ConfigError: If the folder holds scores of another config or number of
            examples.
        Otherwise as `conductor.train`.
    """
    preflight.check(run)
    splits = data.read(run.data, lessons.pretrained_names(run))
    ground = {**training.ground(run, splits), "examples": examples, "split": split}
    check_ground(folder, ground)
    sizes = {name: len(getattr(splits, name).labels) for name in ("train", split)}
    # Precision and recall look for the nearest neighbours within a set.
    if min(sizes.values()) <= quality.NEIGHBOURS:
        raise ConfigError(
            f"scores need more than {quality.NEIGHBOURS} examples in each split. "
            f"Received: {sizes}"
        )

    work = Workspace(run, splits, folder)
    network, _ = teacher.obtain(work)
    epochs = scorer.epochs(splits.train, run.batch_size, examples)
    rows = [_with_epochs(row, epochs) for row in rows]
    generators = [generator.obtain(work.of(row.run))[0] for row in rows]
    bench = scorer.Scorer(splits, network, folder, split)
    # Seeds outside: an interrupted study then has all rows of its finished seeds.
    for seed in range(run.seed, run.seed + seeds):
        for row, trained in zip(rows, generators, strict=True):
            bench.measure(row, seed, trained)
    result = bench.gather(run, rows, seeds)
    page = report.html(result)
    files.atomic_write(folder / "score.html", page)
    files.atomic_write(folder / "score.json", json.dumps(result, indent=1))
    return result


def _with_epochs(row, epochs):
    stage = dataclasses.replace(row.run.stages[0], epochs=epochs)
    return row._replace(run=dataclasses.replace(row.run, stages=(stage,)))
