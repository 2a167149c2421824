"""Measures sets of examples for each seed, and gathers the scores."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from distill import config, data
from distill.data import batches
from distill.measure import accuracy as measure_accuracy
from distill.measure import features, quality
from distill.runtime import files, progress, seeds, versions
from distill.studies import intervals
from distill.teach import stages, synthetic
from distill.teach.workspace import Workspace

PART = 1000  # The fewest examples of a part that gets a classifier score of its own.
PARTS = 10  # The most parts, as in the paper of the Inception score.
FEATURES = (
    "classifier_score",
    "frechet_distance",
    "precision",
    "recall",
    "density",
    "coverage",
)


def epochs(split: data.Split, batch_size: int, examples: int) -> int:
    """The number of epochs that comes nearest to a number of examples; at least 1."""
    steps = batches.steps_per_epoch(len(split.labels), batch_size)
    return max(1, round(examples / (steps * batch_size)))


class Scorer:
    """Scores sets with one teacher.

    Args:
        splits: The data.
        teacher: Teaches the students; its features are compared.
        folder: Contains a folder for the students and scores of each seed.
        split: Name of the split that sets are measured on.
    """

    def __init__(
        self,
        splits: data.Splits,
        teacher: keras.Model,
        folder: pathlib.Path,
        split: str = "test",
    ):
        self._splits = splits
        self._split = split
        self._measured: data.Split = getattr(splits, split)
        self._teacher = teacher
        self._folder = folder
        self._feature_model, self._features = features.feature_model(teacher)
        self._mode = quality.mode_accuracy(splits.train.labels, self._measured.labels)

    def measure(self, row: Any, seed: int, generator: keras.Model | None) -> dict:
        """Trains a student on a set and compares the set's features.

        Reads the result from its file if the row was scored before.

        Args:
            row: A `plan.Row`.
            seed: Seed of the student, its batches and all of its draws.
            generator: A trained generator, if the row's source needs one.

        Returns:
            `accuracy`, in percent of the split, and the numbers of `FEATURES`.
        """
        folder = self._seed_folder(seed)
        path = folder / f"{row.name}.json"
        with files.lock(folder):
            if path.exists():
                progress.say(f"==> {row.title}, seed {seed}: scored before, kept")
                return files.read_json(path)
            progress.say(f"==> {row.title}, seed {seed}")
            student, _ = stages.train(
                row.name,
                row.run.stages,
                Workspace(
                    dataclasses.replace(row.run, seed=seed), self._splits, folder
                ),
                teacher=self._teacher,
                generator=generator,
            )
            logits = measure_accuracy.logits(student, self._measured)
            accuracy = measure_accuracy.accuracy(logits, self._measured)
            rng = np.random.default_rng(seeds.seed_of(seed, "score", row.name))
            with progress.step(
                f"features of {row.title}", f"compared with the {self._split} split's"
            ):
                examples = draw(row.source, self._splits.train, generator, rng)
                scores = {"accuracy": accuracy, **self._compare(examples)}
            files.atomic_write(path, json.dumps(scores))
        return scores

    def gather(self, run: config.Run, rows: Sequence[Any], count: int) -> dict:
        """Gathers the scores of all rows, as in `score.json`.

        Args:
            run: The run.
            rows: The rows, the real one first; every one must have been measured.
            count: Number of seeds, from the run's on.
        """
        all_seeds = range(run.seed, run.seed + count)
        # From the files: a score that was interrupted and resumed is the same report.
        scores = {
            row.name: [
                files.read_json(self._seed_folder(seed) / f"{row.name}.json")
                for seed in all_seeds
            ]
            for row in rows
        }
        measured, train = self._measured, self._splits.train
        stage = rows[0].run.stages[0]
        steps = stage.epochs * batches.steps_per_epoch(
            len(train.labels), run.batch_size
        )
        real = [each["accuracy"] for each in scores["real"]]
        return {
            "run": config.plain(run),
            "versions": versions.versions(),
            "machine": versions.machine(),
            "data": {
                "name": config.name_of(run.data),
                "train": len(train.labels),
                "measured": len(measured.labels),
                "split": self._split,
                "fingerprint": self._splits.fingerprint(),
            },
            "stage": config.plain(stage, config.Stage),
            "steps": steps,
            "examples": steps * run.batch_size,
            "features": self._features,
            "compared": min(len(train.labels), features.LARGEST),
            "seeds": list(all_seeds),
            "teacher_accuracy": measure_accuracy.accuracy(
                measure_accuracy.logits(self._teacher, measured), measured
            ),
            "mode_accuracy": self._mode,
            "rows": [
                {
                    "name": row.name,
                    "title": row.title,
                    **self._summarize(scores[row.name], real),
                }
                for row in rows
            ],
            "warnings": [*self._splits.warnings, *self._warnings(all_seeds, real)],
        }

    def _seed_folder(self, seed):
        return self._folder / f"seed={seed}"

    def _compare(self, examples):
        """The numbers of `FEATURES` of a set."""
        reference = self._measured
        if len(reference.labels) > features.LARGEST:
            # One seed for all: every set is compared with the same examples.
            rng = np.random.default_rng(0)
            order = rng.permutation(len(reference.labels))
            reference = reference.take(order[: features.LARGEST])
        real, drawn = self._predict(reference.floats()), self._predict(examples)
        parts = min(PARTS, max(1, len(examples) // PART))
        scores = quality.classifier_scores(drawn["logits"], parts)
        pair = real["features"], drawn["features"]
        return {
            "classifier_score": float(scores.mean()),
            "frechet_distance": quality.frechet_distance(*pair),
            **quality.neighbourhoods(*pair),
        }

    def _predict(self, images):
        return self._feature_model.predict(
            images, batch_size=measure_accuracy.BATCH, verbose=0
        )

    def _summarize(self, scores, real):
        """The summary of one row over seeds, compared with the real examples' row."""
        accuracies = [each["accuracy"] for each in scores]
        score = None
        # The score divides by what the student learned from real examples.
        if min(real) > self._mode:
            score = intervals.summary(
                [
                    quality.tsc_score(ours, theirs, self._mode)
                    for ours, theirs in zip(accuracies, real, strict=True)
                ]
            )
        return {
            "accuracy": intervals.summary(accuracies),
            "tsc_score": score,
            "to_real": intervals.paired_difference(accuracies, real),
            **{
                name: intervals.summary([each[name] for each in scores])
                for name in FEATURES
            },
        }

    def _warnings(self, all_seeds, real):
        return [
            f"Seed {seed}: from real data the student reached {accuracy:.2f} %, no "
            f"more than the most frequent class gets ({self._mode:.2f} %), so there is "
            "no TSC score: raise --examples"
            for seed, accuracy in zip(all_seeds, real, strict=True)
            if accuracy <= self._mode
        ]


def draw(
    source: Any,
    split: data.Split,
    generator: keras.Model | None,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draws one example for each real one, at most `features.LARGEST`.

    Args:
        source: An entry of `sources.SOURCES`; None means the real examples.
        split: The real examples.
        generator: A trained generator, if the source needs one.
        rng: Decides all draws.

    Returns:
        float32 in [0, 1], `(n, ...)`.
    """
    chosen = rng.permutation(len(split.labels))[: features.LARGEST]
    if source is None:
        return data.floats(split.inputs[chosen])
    generate = synthetic.generation(generator) if source.needs_generator else None
    make = source.maker(split, generate)
    # In parts: a source needs memory for each of its examples.
    parts = np.array_split(chosen, -(-len(chosen) // measure_accuracy.BATCH))
    return np.concatenate([make(part, rng) for part in parts])
