"""Scores every source over seeds; a finished score is never made again."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence

from distill import config, data
from distill.config import lessons
from distill.measure import quality
from distill.run import preflight, training
from distill.run.folder import check_ground, claim
from distill.runtime import files, onednn
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
        As `conductor.train`, otherwise.
    """
    onednn.choose(run.hardware.onednn)
    preflight.check(run)
    with files.lock(folder):
        claim(folder, run)
        splits = data.read(run.data, lessons.pretrained_names(run))
        ground = {**training.ground(run, splits), "examples": examples, "split": split}
        check_ground(folder, ground)
        held = {name: len(getattr(splits, name).labels) for name in ("train", split)}
        if min(held.values()) <= quality.NEIGHBOURS:
            raise ConfigError(
                f"scores need more than {quality.NEIGHBOURS} examples in each split. "
                f"Received: {held}"
            )

        work = Workspace(run, splits, folder)
        network, _ = teacher.obtain(work)
        lasting = scorer.epochs(splits.train, run.batch_size, examples)
        rows = [_epochs_for(row, lasting) for row in rows]
        makers = [generator.obtain(work.of(row.run))[0] for row in rows]
        bench = scorer.Scorer(splits, network, folder, split)
        for seed in range(run.seed, run.seed + seeds):
            for row, maker in zip(rows, makers, strict=True):
                bench.measure(row, seed, maker)
        result = bench.gather(run, rows, seeds)
        page = report.html(result)
        files.atomic_write(folder / "score.html", page)
        files.atomic_write(folder / "score.json", json.dumps(result, indent=1))
    return result


def _epochs_for(row, epochs):
    stage = dataclasses.replace(row.run.stages[0], epochs=epochs)
    return row._replace(run=dataclasses.replace(row.run, stages=(stage,)))
