"""Split -> training batches, each a pure function of (seed, step)."""

import collections
import concurrent.futures
from collections.abc import Iterator

import numpy as np

from distill import data
from distill.data import augmentation
from distill.data.synthetic.mixture import Mixture
from distill.runtime.process import distributed

_AHEAD = 2  # Batches that are made while another trains.


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Batches to see about every example once; at least 1."""
    return max(1, examples // batch_size)


def ahead(stream: Iterator) -> Iterator:
    """An endless stream, read by a thread before its batches are asked for."""
    reader = concurrent.futures.ThreadPoolExecutor(1)
    try:
        made = collections.deque(reader.submit(next, stream) for _ in range(_AHEAD))
        while True:
            batch = made.popleft().result()
            made.append(reader.submit(next, stream))
            yield batch
    finally:
        # Without waiting: after an error it may be the reader's own thread that
        # collects this.
        reader.shutdown(wait=False, cancel_futures=True)


class Batches:
    """Endless training batches; number `step` is the same whatever came before.

    Teacher and student see the same pixels, and a run resumes from one integer.
    Every example comes once in each epoch, in a new order; a batch may reach
    over the end of an epoch, so that all have the same size.

    Args:
        split: The examples.
        batch_size: Images in a batch.
        seed: Decides order and augmentation.
        augmentation: Applied to the images, made ones too.
        mixture: Replaces some examples by made ones, without a label; None
            leaves all.
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
        self._order = (-1, np.empty(0, np.int64))  # The last epoch and its order.

    @property
    def steps_per_epoch(self) -> int:
        """Batches to see about every example once; at least 1."""
        return steps_per_epoch(len(self.split.labels), self.batch_size)

    def batch(
        self, step: int, rows: slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Batch number `step`, from 0, or some of its rows.

        Returns:
            Inputs, see `data.floats`, `(batch_size, ...)`, and labels, int64,
            `(batch_size,)`, `sources.UNLABELLED` where an example was made.
        """
        epochs, chosen = self.places(step)
        wanted = chosen if self.mixture is not None else chosen[rows]
        inputs = self.split.inputs[wanted]
        labels = self.split.labels[wanted]
        if self.mixture is not None:  # Of the batch as a whole.
            own = np.random.default_rng((self.seed, 2, step))
            inputs, labels = self.mixture(data.floats(inputs), labels, chosen, own)
            inputs, labels = inputs[rows], labels[rows]
        drawn = self._drawn(step, epochs, chosen)[:, rows]
        # Moved as bytes, where they are: floats are four times as many.
        return data.floats(self.augmentation(inputs, drawn)), labels

    def places(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Who is in batch number `step`.

        Returns:
            The epochs that the examples belong to, increasing, and their indices in
            the split; each of shape `(batch_size,)`.
        """
        count = len(self.split.labels)
        positions = step * self.batch_size + np.arange(self.batch_size)
        epochs, places = np.divmod(positions, count)
        chosen = [self._permutation(e)[places[epochs == e]] for e in np.unique(epochs)]
        return epochs, np.concatenate(chosen)

    def stream(self, start: int = 0) -> Iterator:
        """Batches without end, from number `start` on: this process's rows of each."""
        step = start
        while True:
            yield self.batch(step, distributed.rows(self.batch_size))
            step += 1

    def _drawn(self, step, epochs, chosen):
        """What augmentation does to each image of a batch."""
        variants = self.augmentation.variants
        if variants is None:
            rng = np.random.default_rng((self.seed, 1, step))
            return self.augmentation.draws(len(chosen), rng)
        count = len(self.split.labels)
        drawn = [
            self.augmentation.variant(int(e) % variants, count)[:, chosen[epochs == e]]
            for e in np.unique(epochs)
        ]
        return np.concatenate(drawn, axis=1)

    def _permutation(self, epoch):
        known, order = self._order  # At once: a thread that reads ahead may ask, too.
        if known != epoch:
            rng = np.random.default_rng((self.seed, 0, int(epoch)))
            order = rng.permutation(len(self.split.labels))
            self._order = epoch, order
        return order
