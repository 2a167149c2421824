"""Batches that come with cached answers, so that the teacher need not run."""

from collections.abc import Iterator, Sequence

import keras
import numpy as np

from distill import data
from distill.data import batches, beside
from distill.teach.cache import layout
from trainers import trainer


class Answers:
    """The teacher's answers to the examples of one split.

    Args:
        layout: Their format.
        variants: For each variant, an array of `layout.dtype`, one row an example.
    """

    def __init__(self, layout: layout.Layout, variants: list[np.ndarray]):
        self._layout = layout
        self._variants = variants

    def read(self, variants: np.ndarray, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Reads the answers to some examples.

        Args:
            variants: The variant of each, `(n,)`.
            indices: Their indices in the split, `(n,)`.

        Returns:
            Name of each output to its values, `(n, ...)`.
        """
        rows = np.empty(len(indices), self._layout.dtype)
        # `fit` reads a batch ahead of the last step and does not train on it. Its
        # variant may be one without cached answers: any other will do.
        variants = np.minimum(variants, len(self._variants) - 1)
        for variant in np.unique(variants):
            mask = variants == variant
            rows[mask] = self._variants[variant][indices[mask]]
        return self._layout.unpack(rows)

    def all(self, name: str) -> np.ndarray:
        """All values of one output, `(variants, examples, ...)`."""
        return np.stack([self._layout.unpack(rows)[name] for rows in self._variants])


class TrainingBatches:
    """Training batches with the teacher's answers; see `resume.Source`.

    Args:
        source: The training batches.
        answers: The answers to the examples of each part of these batches.
    """

    def __init__(
        self, source: batches.Batches | beside.Beside, answers: Sequence[Answers]
    ):
        self.batch_size = source.batch_size
        self.steps_per_epoch = source.steps_per_epoch
        self._source = source
        self._answers = answers

    def stream(self, start: int = 0) -> Iterator:
        """Yields batches without end, from number `start` on."""
        variants = self._source.augmentation.variants or 1
        for step, (inputs, labels) in enumerate(self._source.stream(start), start):
            read = []
            for part, answers in zip(self._source.parts, self._answers, strict=True):
                epochs, indices = part.places(step)
                read.append(answers.read(epochs % variants, indices))
            joined = {n: self._source.join([own[n] for own in read]) for n in read[0]}
            yield trainer.with_answers(inputs, joined), labels


class ValidationBatches(keras.utils.PyDataset):
    """The examples of a split in order, in batches with the teacher's answers.

    Args:
        split: The examples.
        answers: The answers to them.
        batch_size: Size of every batch but the last, which may be smaller.
    """

    def __init__(self, split: data.Split, answers: Answers, batch_size: int):
        super().__init__()
        self._split = split
        self._answers = answers
        self._size = batch_size

    def __len__(self):
        """The number of batches."""
        return -(-len(self._split.labels) // self._size)

    def __getitem__(self, index):
        """The batch with this index."""
        indices = np.arange(len(self._split.labels))
        indices = indices[index * self._size : (index + 1) * self._size]
        # Validation examples are not augmented: they have variant 0 only.
        answers = self._answers.read(np.zeros_like(indices), indices)
        part = self._split.take(indices)
        return trainer.with_answers(part.floats(), answers), part.labels
