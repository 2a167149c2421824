"""What all finishers of a run work on: student, teacher and data."""

import dataclasses
import functools
import pathlib
from collections.abc import Iterator

import keras
import numpy as np

from distill import data
from distill.compress import answers
from distill.data import augmentation, batches
from distill.measure import accuracy, parity
from distill.runtime import hashes, seeds, versions
from distill.runtime.trust import loader, provenance

CHECKED = 256  # Examples on which the twin must answer as the student.


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """Networks and data, opened once, and what decides how they are trained on.

    Attributes:
        folder: Holds `student.keras` and, if there is a teacher, `teacher.keras`.
        splits: The data.
        batch_size: Examples in a step.
        seed: Of the run.
        augmentation: Of training examples.
        kind: Of the inputs: `images` or `texts`.
        classes: Their names, in the order of the logits.
    """

    folder: pathlib.Path
    splits: data.Splits
    batch_size: int
    seed: int
    augmentation: augmentation.Augmentation
    kind: str
    classes: tuple[str, ...]

    @functools.cached_property
    def student(self) -> keras.Model:
        """The trained student."""
        return loader.open_own(self.folder / "student.keras")

    @functools.cached_property
    def teacher(self) -> answers.Answers | None:
        """The teacher's answers, if there is a teacher."""
        return answers.open_teacher(
            self.folder / "teacher.keras",
            self.splits,
            changing=self.augmentation != augmentation.Augmentation(),
        )

    @functools.cached_property
    def images(self) -> np.ndarray:
        """Training examples on which a twin and a file are compared."""
        return self.sample(CHECKED, "checked").floats()

    def calibration(self, count: int) -> np.ndarray:
        """Training examples without augmentation, drawn by class."""
        return self.sample(count, "calibration").floats()

    def sample(self, count: int, purpose: str) -> data.Split:
        """So many training examples at most, drawn by class, seed and purpose."""
        return self.splits.train.sample(count, seeds.seed_of(self.seed, purpose))

    def changed(self, name: str) -> np.ndarray:
        """Training examples of each class, as `stream` gives them."""
        sample = self.sample(CHECKED, "ranges")
        return self._batches(name, sample, len(sample.labels)).batch(0)[0]

    def batches(self, name: str) -> batches.Batches:
        """Of the training of the finisher of this name."""
        return self._batches(name, self.splits.train, self.batch_size)

    def _batches(self, name, split, batch_size):
        return batches.Batches(
            split,
            batch_size=batch_size,
            seed=seeds.seed_of(self.seed, "finish order", name),
            augmentation=self.augmentation,
        )

    def stream(self, name: str, step: int) -> Iterator[tuple]:
        """Batches of that training from a step on, without end; see `asked`."""
        for inputs, labels in self.batches(name).stream(step):
            yield self.asked(inputs, labels)

    def asked(self, inputs: np.ndarray, labels: np.ndarray) -> tuple:
        """Inputs, and what is asked: label first, then any teacher's logits."""
        if self.teacher is None:
            return inputs, np.asarray(labels)[:, None]
        return inputs, np.column_stack([labels, self.teacher(inputs)])

    def stamp(self, name: str, file: bytes, config: dict) -> bytes:
        """A file that says what it was made of; see `provenance.stamp`.

        Args:
            name: Of the model, such as `student.int8`.
            file: The `.tflite` file.
            config: The whole run as plain data.
        """
        split = self.splits.validation
        said = accuracy.classes(parity.answers(file, split.floats()))
        right = said == split.labels
        origin = {
            "model": name,
            "kind": self.kind,
            "classes": list(self.classes),
            "config": config,
            "versions": versions.versions(),
            "data": self.splits.fingerprint(),
            "weights": self._weights,
            "validation": {
                "examples": len(right),
                "accuracy": 100 * float(right.mean()),
            },
        }
        return provenance.stamp(file, origin)

    @functools.cached_property
    def _weights(self):
        """Fingerprint of student and teacher, as far as there are any."""
        paths = [self.folder / f"{name}.keras" for name in ("student", "teacher")]
        return {
            path.stem: hashes.weights_hash(loader.open_own(path))
            for path in paths
            if path.exists()
        }
