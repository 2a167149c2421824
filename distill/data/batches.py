"""Training batches of a split; each is a pure function of (seed, step)."""

import collections
import concurrent.futures
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from distill import data
from distill.data import augmentation
from distill.data.synthetic.mixture import Mixture
from distill.runtime.process import distributed

_VALIDATED = 256  # Examples in a batch of validation; more at once are hardly faster.
_MORE = 4  # Times as many as in training: without gradients, few outputs are held.
_PREFETCHED = 2  # Number of batches that are prepared while another one trains.


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Number of batches in an epoch, rounded down; at least 1."""
    return max(1, examples // batch_size)


def validation_size(batch_size: int, *, related: bool = False) -> int:
    """Number of examples in a batch of validation.

    Args:
        batch_size: Number of examples in a batch of training; the result is a multiple.
        related: Whether a loss depends on how many examples are compared in a batch.
            It shall be that of training, then.
    """
    if related:
        return batch_size
    return batch_size * max(1, min(_MORE, _VALIDATED // batch_size))


def in_order(inputs: np.ndarray, targets: np.ndarray, batch_size: int) -> Any:
    """All examples in batches, on TensorFlow, for validation in each epoch.

    Args:
        inputs: Inputs, `(n, ...)`.
        targets: What belongs to them, `(n, ...)`.
        batch_size: Size of every batch but the last, which may be smaller.

    Returns:
        A `tf.data.Dataset`.
    """
    import tensorflow as tf

    # Of arrays, Keras makes a pipeline that takes 20 ms longer to start, again in each
    # epoch: a small network needs no more for all the examples.
    return tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(batch_size)


def prefetch(stream: Iterator) -> Iterator:
    """Prefetches the batches of an endless stream in a thread."""
    reader = concurrent.futures.ThreadPoolExecutor(1)
    try:
        pending = collections.deque(
            reader.submit(next, stream) for _ in range(_PREFETCHED)
        )
        while True:
            batch = pending.popleft().result()
            pending.append(reader.submit(next, stream))
            yield batch
    finally:
        # Without waiting: after an error, garbage collection may close this generator
        # in the reader's own thread, which cannot wait for itself.
        reader.shutdown(wait=False, cancel_futures=True)


def stream(source: Any, start: int) -> Iterator:
    """This process's rows of the batches of a source from a step on, endlessly."""
    for step in itertools.count(start):
        yield source.batch(step, distributed.rows(source.batch_size))


class Batches:
    """Endless training batches, each of which depends on seed and step only.

    Teacher and student see the same pixels, and the state of the input pipeline is one
    integer. Every example occurs once in each epoch, in a new order. All batches have
    the same size, so one may span the end of an epoch.

    Args:
        split: The examples.
        batch_size: Number of examples in a batch.
        seed: Seed of the order of examples, of augmentation and of the mixture.
        augmentation: Applied to all images, including synthetic ones.
        mixture: Replaces some examples by synthetic, unlabelled ones; None replaces
            none.
    """

    def __init__(
        self,
        split: data.Split,
        *,
        batch_size: int,
        seed: int,
        augmentation: augmentation.Augmentation,
        mixture: Mixture | None = None,
    ):
        self.split = split
        self.batch_size = batch_size
        self.seed = seed
        self.augmentation = augmentation
        self.mixture = mixture
        # The epoch that was used last, and its order.
        self._order = (-1, np.empty(0, np.int64))

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in an epoch, rounded down; at least 1."""
        return steps_per_epoch(len(self.split.labels), self.batch_size)

    def batch(
        self, step: int, rows: slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the batch of a step, or some of its rows.

        Args:
            step: Number of the batch, from 0.
            rows: The rows that are returned.

        Returns:
            Inputs `(n, ...)`, see `data.floats`, and labels, int64 `(n,)`; the label of
            a synthetic example is `data.UNLABELLED`.
        """
        # Random numbers have the seeds (seed, purpose, step or epoch), where 0 is the
        # order, 1 augmentation and 2 the mixture, so that none changes with another.
        epochs, chosen = self.places(step)
        # A mixture needs the whole batch, even if only some rows are returned.
        needed = chosen if self.mixture is not None else chosen[rows]
        inputs = self.split.inputs[needed]
        labels = self.split.labels[needed]
        if self.mixture is not None:
            rng = np.random.default_rng((self.seed, 2, step))
            inputs, labels = self.mixture(data.floats(inputs), labels, chosen, rng)
            inputs, labels = inputs[rows], labels[rows]
        parameters = self._parameters(step, epochs, chosen)[:, rows]
        # Augmented before the conversion: float32 takes four times the memory of uint8.
        return data.floats(self.augmentation(inputs, parameters)), labels

    def places(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """The examples of the batch of a step.

        Returns:
            The epoch of each example, increasing, and its index in the split; each
            int64, `(batch_size,)`.
        """
        count = len(self.split.labels)
        positions = step * self.batch_size + np.arange(self.batch_size)
        epochs, places = np.divmod(positions, count)
        chosen = [self._permutation(e)[places[epochs == e]] for e in np.unique(epochs)]
        return epochs, np.concatenate(chosen)

    @property
    def parts(self) -> tuple["Batches", ...]:
        """Batches of one split each that together make these; here only themselves."""
        return (self,)

    def join(self, pieces: Sequence[np.ndarray]) -> np.ndarray:
        """Brings values of the `parts` of a batch into its order."""
        (only,) = pieces
        return only

    def stream(self, start: int = 0) -> Iterator:
        """Yields this process's rows of the batches from step `start` on, endlessly."""
        return stream(self, start)

    def _parameters(self, step, epochs, chosen):
        """The parameters of augmentation for each image of a batch."""
        variants = self.augmentation.variants
        if variants is None:
            rng = np.random.default_rng((self.seed, 1, step))
            return self.augmentation.draw(len(chosen), rng)
        count = len(self.split.labels)
        parameters = [
            self.augmentation.variant(int(e) % variants, count)[:, chosen[epochs == e]]
            for e in np.unique(epochs)
        ]
        return np.concatenate(parameters, axis=1)

    def _permutation(self, epoch):
        # Read in one step, since the thread that prefetches may replace it meanwhile.
        known, order = self._order
        if known != epoch:
            rng = np.random.default_rng((self.seed, 0, int(epoch)))
            order = rng.permutation(len(self.split.labels))
            self._order = epoch, order
        return order
