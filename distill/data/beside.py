"""Batches of labelled examples with unlabelled ones beside them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from distill import data
from distill.data import batches
from distill.data.augmentation import Augmentation
from distill.runtime import seeds


def labelled_rows(share: float, batch_size: int) -> int:
    """Number of labelled examples in a batch.

    Args:
        share: Their share; 0 and 1 mean none and all.
        batch_size: Number of examples in a batch.
    """
    return round(share * batch_size)


def steps_per_epoch(
    labelled: int, unlabelled: int, share: float, batch_size: int
) -> int:
    """Number of batches in an epoch: a pass over the labelled examples.

    Args:
        labelled: Number of labelled examples.
        unlabelled: Number of unlabelled ones, over which an epoch is a pass where
            batches have no others.
        share: Share of labelled examples in a batch.
        batch_size: Number of examples in a batch.
    """
    if not share:
        return batches.steps_per_epoch(unlabelled, batch_size)
    return batches.steps_per_epoch(labelled, labelled_rows(share, batch_size))


class Beside:
    """Endless batches of labelled and unlabelled examples, which depend on step only.

    Every batch has the same number of each, in the same rows, evenly spread, so that
    each device gets its share. An epoch is a pass over the labelled examples; the
    unlabelled ones have passes of their own, in an order of their own.

    Args:
        labelled: Batches of labelled examples; those of a training without others, of
            another size.
        unlabelled: Batches of unlabelled ones.

    Attributes:
        parts: Both.
        augmentation: That of both.
    """

    mixture = None

    def __init__(self, labelled: batches.Batches, unlabelled: batches.Batches):
        self.parts = labelled, unlabelled
        self.augmentation = labelled.augmentation
        self.batch_size = labelled.batch_size + unlabelled.batch_size
        self.steps_per_epoch = labelled.steps_per_epoch
        count = labelled.batch_size
        middles = (np.arange(count) + 0.5) * self.batch_size / count
        self._is_labelled = np.zeros(self.batch_size, bool)
        self._is_labelled[middles.astype(int)] = True

    def batch(
        self, step: int, rows: slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """The batch of a step, or some of its rows; see `batches.Batches.batch`."""
        start, stop, _ = rows.indices(self.batch_size)
        pieces = [
            part.batch(step, slice(own[:start].sum(), own[:stop].sum()))
            for part, own in zip(
                self.parts, (self._is_labelled, ~self._is_labelled), strict=True
            )
        ]
        inputs, labels = (self.join(pair, rows) for pair in zip(*pieces, strict=True))
        return inputs, labels

    def join(
        self, pieces: Sequence[np.ndarray], rows: slice = slice(None)
    ) -> np.ndarray:
        """Brings values of both parts of a batch into its order.

        Args:
            pieces: Values of the labelled and of the unlabelled examples, `(n, ...)`.
            rows: The rows of the batch that these are.
        """
        is_labelled = self._is_labelled[rows]
        shape = (len(is_labelled), *pieces[0].shape[1:])
        joined = np.empty(shape, pieces[0].dtype)
        joined[is_labelled], joined[~is_labelled] = pieces
        return joined

    def stream(self, start: int = 0) -> Iterator:
        """This process's rows of the batches from a step on, endlessly."""
        return batches.stream(self, start)


def build(
    splits: data.Splits,
    share: float,
    *,
    batch_size: int,
    seed: int,
    augmentation: Augmentation,
    **options: Any,
) -> batches.Batches | Beside:
    """Batches of training examples with a share of labelled ones.

    Args:
        splits: The data, with unlabelled examples if the share is below 1.
        share: The share, in [0, 1].
        batch_size: Number of examples in a batch.
        seed: Seed of the order and of augmentation.
        augmentation: Applied to all images.
        **options: Further arguments of `batches.Batches` where all are labelled.
    """
    labelled = labelled_rows(share, batch_size)
    shared = {"seed": seed, "augmentation": augmentation}
    if labelled == batch_size:
        return batches.Batches(splits.train, batch_size=batch_size, **shared, **options)
    further = splits.unlabelled
    if further is None:  # The data have no labels at all.
        assert not splits.train.has_labels  # `config.checks` has refused others.
        further = splits.train
    apart = shared | {"seed": seeds.seed_of(seed, "unlabelled")}
    unlabelled = batches.Batches(further, batch_size=batch_size - labelled, **apart)
    if not labelled:
        return unlabelled
    return Beside(
        batches.Batches(splits.train, batch_size=labelled, **shared), unlabelled
    )
