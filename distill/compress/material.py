"""The networks and data of a run for its finishers."""

import dataclasses
import functools
import pathlib
from collections.abc import Iterator

import keras
import numpy as np

from distill import data
from distill.compress import answers
from distill.data import augmentation, batches, beside
from distill.measure import accuracy, parity
from distill.runtime import hashes, seeds, versions
from distill.runtime.trust import loader, provenance

CHECKED = 256  # Examples on which student, twin and files are compared.


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """Networks and data, opened once, and all that determines the batches.

    Attributes:
        folder: Contains `student.keras` and, if there is a teacher, `teacher.keras`,
            or the logits of one that only answers, `teacher.npz`.
        splits: The data.
        batch_size: Examples in a step.
        seed: The run's seed.
        augmentation: The augmentation of training examples.
        kind: Kind of the inputs: `images` or `texts`.
        classes: Names of the classes, in the order of the logits.
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
    def teacher_network(self) -> keras.Model | None:
        """The teacher; None without one, or if it only answers."""
        path = self.folder / "teacher.keras"
        return loader.open_own(path) if path.exists() else None

    @functools.cached_property
    def teacher(self) -> answers.Answers | answers.Kept | None:
        """The teacher's logits, or None without a teacher."""
        network = self.teacher_network
        return answers.open_teacher(
            self.folder, network, self.splits, self.augmentation
        )

    @functools.cached_property
    def check_inputs(self) -> np.ndarray:
        """Training examples on which student, twin and files are compared."""
        return self.sample(CHECKED, "checked").floats()

    def calibration(self, count: int) -> np.ndarray:
        """Training examples without augmentation, stratified by class."""
        return self.sample(count, "calibration").floats()

    def sample(self, count: int, purpose: str) -> data.Split:
        """At most `count` training examples, stratified; seed and purpose decide."""
        return self.splits.train.sample(count, seeds.seed_of(self.seed, purpose))

    def augmented_sample(self, name: str) -> np.ndarray:
        """Training examples of each class, augmented as in `stream`."""
        # One batch of the whole sample: ranges are measured in one pass.
        sample = self.sample(CHECKED, "ranges")
        shared = self._order(name)
        return batches.Batches(sample, batch_size=len(sample.labels), **shared).batch(
            0
        )[0]

    def batches(
        self, name: str, labelled_share: float = 1.0
    ) -> batches.Batches | beside.Beside:
        """The batches that train the finisher of this name.

        Args:
            name: The finisher's.
            labelled_share: See `TrainedFinisher`.
        """
        return beside.build(
            self.splits,
            labelled_share,
            batch_size=self.batch_size,
            **self._order(name),
        )

    def _order(self, name):
        return {
            "seed": seeds.seed_of(self.seed, "finish order", name),
            "augmentation": self.augmentation,
        }

    def stream(
        self, name: str, step: int, labelled_share: float = 1.0
    ) -> Iterator[tuple]:
        """The batches of that training from a step on, endless; see `add_targets`."""
        for inputs, labels in self.batches(name, labelled_share).stream(step):
            yield self.add_targets(inputs, labels)

    def add_targets(self, inputs: np.ndarray, labels: np.ndarray) -> tuple:
        """Inputs and targets: the label, then the teacher's logits if there are any."""
        if self.teacher is None:
            return inputs, np.asarray(labels)[:, None]
        # In one type, that of a network: a `tf.data.Dataset` is not cast by tf_keras.
        return inputs, np.column_stack([np.float32(labels), self.teacher(inputs)])

    def stamp(self, name: str, file: bytes, config: dict) -> bytes:
        """Writes the file's origin into it; see `provenance.stamp`.

        Args:
            name: Name of the model, such as `student.int8`.
            file: The `.tflite` file.
            config: The whole run as plain data.

        Returns:
            The file with its origin.
        """
        split = self.splits.validation
        classes = accuracy.classes(parity.predict(file, split.floats()))
        origin = {
            "model": name,
            "kind": self.kind,
            "classes": list(self.classes),
            "config": config,
            "versions": versions.versions(),
            "data": self.splits.fingerprint(),
            "weights": self._weights,
            "validation": {"examples": len(classes), **self._quality(classes)},
        }
        return provenance.stamp(file, origin)

    def _quality(self, classes):
        """What is known of a file's classes on the validation split."""
        split = self.splits.validation
        if split.has_labels:
            return {"accuracy": 100 * float((classes == split.labels).mean())}
        taught = accuracy.classes(self.teacher(split.floats()))
        return {"agreement_with_teacher": 100 * float((classes == taught).mean())}

    @functools.cached_property
    def _weights(self):
        """Fingerprints of the weights of student and teacher, if there is one."""
        networks = {"student": self.student, "teacher": self.teacher_network}
        return {
            name: hashes.weights_hash(network)
            for name, network in networks.items()
            if network is not None
        }
