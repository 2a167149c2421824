"""Measures sets of examples, seed by seed, and gathers what they scored."""

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

PART = 1000  # Examples, at least, of each part that has a classifier score.
PARTS = 10  # At most, as in its paper.
FEATURES = (
    "classifier_score",
    "frechet_distance",
    "precision",
    "recall",
    "density",
    "coverage",
)


def epochs(split: data.Split, batch_size: int, examples: int) -> int:
    """Epochs of the real examples that come nearest to so many; at least 1."""
    steps = batches.steps_per_epoch(len(split.labels), batch_size)
    return max(1, round(examples / (steps * batch_size)))


class Scorer:
    """Scores sets with one teacher.

    Args:
        splits: The data.
        teacher: Labels the examples and lends its features.
        folder: Each seed has a folder there for its students and scores.
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
        self._seer, self._features = features.feature_model(teacher)
        self._mode = quality.mode_accuracy(splits.train.labels, self._measured.labels)

    def measure(self, row: Any, seed: int, generator: keras.Model | None) -> dict:
        """Teaches a student on a set and compares the set's features, once.

        Args:
            row: A `plan.Row`.
            seed: Of the student, its batches and everything drawn for it.
            generator: A trained one, where the row's source needs it.

        Returns:
            `accuracy`, in percent of the split, and the numbers of `FEATURES`.
        """
        home = self._home(seed)
        path = home / f"{row.name}.json"
        with files.lock(home):
            if path.exists():
                progress.say(f"==> {row.title}, seed {seed}: scored before, kept")
                return json.loads(path.read_text())
            progress.say(f"==> {row.title}, seed {seed}")
            student, _ = stages.train(
                row.name,
                row.run.stages,
                Workspace(dataclasses.replace(row.run, seed=seed), self._splits, home),
                teacher=self._teacher,
                generator=generator,
            )
            answers = measure_accuracy.logits(student, self._measured)
            accuracy = measure_accuracy.accuracy(answers, self._measured)
            rng = np.random.default_rng(seeds.seed_of(seed, "score", row.name))
            with progress.step(
                f"features of {row.title}", f"beside the {self._split} split's"
            ):
                examples = draw(row.source, self._splits.train, generator, rng)
                found = {"accuracy": accuracy, **self._compared(examples)}
            files.atomic_write(path, json.dumps(found))
        return found

    def gather(self, run: config.Run, rows: Sequence[Any], count: int) -> dict:
        """What all rows scored, as in `score.json`.

        Args:
            run: The run.
            rows: Every one of them measured, the real one first.
            count: Of seeds, from the run's on.
        """
        every = range(run.seed, run.seed + count)
        found = {
            row.name: [
                json.loads((self._home(seed) / f"{row.name}.json").read_text())
                for seed in every
            ]
            for row in rows
        }
        measured, train = self._measured, self._splits.train
        stage = rows[0].run.stages[0]
        steps = stage.epochs * batches.steps_per_epoch(
            len(train.labels), run.batch_size
        )
        real = [each["accuracy"] for each in found["real"]]
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
            "seeds": list(every),
            "teacher_accuracy": measure_accuracy.accuracy(
                measure_accuracy.logits(self._teacher, measured), measured
            ),
            "mode_accuracy": self._mode,
            "rows": [
                {
                    "name": row.name,
                    "title": row.title,
                    **self._scored(found[row.name], real),
                }
                for row in rows
            ],
            "warnings": [*self._splits.warnings, *self._warnings(every, real)],
        }

    def _home(self, seed):
        return self._folder / f"seed={seed}"

    def _compared(self, examples):
        """The numbers of `FEATURES` of a set."""
        reference = self._measured
        if len(reference.labels) > features.LARGEST:
            rng = np.random.default_rng(0)  # The same ones for every set.
            order = rng.permutation(len(reference.labels))
            reference = reference.take(order[: features.LARGEST])
        real, made = self._seen(reference.floats()), self._seen(examples)
        parts = min(PARTS, max(1, len(examples) // PART))
        scores = quality.classifier_scores(made["logits"], parts)
        pair = real["features"], made["features"]
        return {
            "classifier_score": float(scores.mean()),
            "frechet_distance": quality.frechet_distance(*pair),
            **quality.neighbourhoods(*pair),
        }

    def _seen(self, images):
        return self._seer.predict(images, batch_size=measure_accuracy.BATCH, verbose=0)

    def _scored(self, measured, real):
        accuracies = [each["accuracy"] for each in measured]
        score = None
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
                name: intervals.summary([each[name] for each in measured])
                for name in FEATURES
            },
        }

    def _warnings(self, every, real):
        return [
            f"Seed {seed}: of real data the student learned {accuracy:.2f} %, no more "
            f"than the most frequent class gets ({self._mode:.2f} %), so that there is "
            "no TSC score: raise --examples"
            for seed, accuracy in zip(every, real, strict=True)
            if accuracy <= self._mode
        ]


def draw(
    source: Any,
    split: data.Split,
    generator: keras.Model | None,
    rng: np.random.Generator,
) -> np.ndarray:
    """One example for each real one, or for `LARGEST` of them.

    Args:
        source: An entry of `sources.SOURCES`; None means the real ones.
        split: The real ones.
        generator: Where the source needs one.
        rng: Decides everything.

    Returns:
        float32 in [0, 1], `(n, ...)`.
    """
    chosen = rng.permutation(len(split.labels))[: features.LARGEST]
    if source is None:
        return data.floats(split.inputs[chosen])
    generate = synthetic.generation(generator) if source.needs_generator else None
    make = source.maker(split, generate)
    parts = np.array_split(chosen, -(-len(chosen) // measure_accuracy.BATCH))
    return np.concatenate([make(part, rng) for part in parts])
