"""Kept answers in the place of the teacher, batch by batch."""

from collections.abc import Iterator

import keras
import numpy as np

from distill import data
from distill.data import batches
from distill.teach.cache import layout
from trainers import trainer


class Answers:
    """What the teacher has said of one split.

    Args:
        layout: How that is kept.
        variants: One array of `layout.dtype` each, one row an example.
    """

    def __init__(self, layout: layout.Layout, variants: list[np.ndarray]):
        self._layout = layout
        self._variants = variants

    def of(self, variants: np.ndarray, chosen: np.ndarray) -> dict[str, np.ndarray]:
        """Answers to some examples.

        Args:
            variants: How each is augmented, `(n,)`.
            chosen: Their indices in the split, `(n,)`.

        Returns:
            Name of each output to `(n, ...)`.
        """
        rows = np.empty(len(chosen), self._layout.dtype)
        # A batch beyond the last step, which `fit` reads and never trains on, may be
        # of a variant that nobody has asked about.
        variants = np.minimum(variants, len(self._variants) - 1)
        for variant in np.unique(variants):
            own = variants == variant
            rows[own] = self._variants[variant][chosen[own]]
        return self._layout.unpack(rows)


class Taught:
    """Training batches that come with the teacher's answers; see `resume.Source`.

    Args:
        source: Of the batches.
        answers: To the training examples.
    """

    def __init__(self, source: batches.Batches, answers: Answers):
        self.batch_size = source.batch_size
        self.steps_per_epoch = source.steps_per_epoch
        self._source = source
        self._answers = answers

    def stream(self, start: int = 0) -> Iterator:
        """Batches without end, from number `start` on."""
        variants = self._source.augmentation.variants or 1
        for step, (inputs, labels) in enumerate(self._source.stream(start), start):
            epochs, chosen = self._source.places(step)
            said = self._answers.of(epochs % variants, chosen)
            yield trainer.with_answers(inputs, said), labels


class Validation(keras.utils.PyDataset):
    """A split in its order, in batches that come with the teacher's answers.

    Args:
        split: The examples.
        answers: To them.
        batch_size: Of all but the last.
    """

    def __init__(self, split: data.Split, answers: Answers, batch_size: int):
        super().__init__()
        self._split = split
        self._answers = answers
        self._size = batch_size

    def __len__(self):
        """Batches."""
        return -(-len(self._split.labels) // self._size)

    def __getitem__(self, index):
        """One batch."""
        everyone = np.arange(len(self._split.labels))
        chosen = everyone[index * self._size : (index + 1) * self._size]
        part, said = self._split.take(chosen), self._answers.of(0 * chosen, chosen)
        return trainer.with_answers(part.floats(), said), part.labels
