"""Rerows real examples by synthetic ones, batch by batch."""

from collections.abc import Callable

import numpy as np

from distill.data.splits import UNLABELLED
from distill.data.synthetic import sources

POOL = 4  # Candidates for each example, if the teacher's confidence is required.


class Mixture:
    """Rerows real examples by synthetic ones, batch by batch.

    Args:
        options: The source of synthetic examples.
        make: Makes examples; see `Synthetic.maker`.
        predict: Maps examples to the teacher's logits, `(n, classes)`, from which its
            confidence is computed; None requires no confidence.
    """

    def __init__(
        self,
        options: sources.Synthetic,
        make: sources.Maker,
        predict: Callable[[np.ndarray], np.ndarray] | None = None,
    ):
        self._options, self._make, self._predict = options, make, predict

    def __call__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        chosen: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rerows examples of a batch.

        Args:
            images: The real images before augmentation, `(batch, ...)`.
            labels: Their classes, `(batch,)`.
            chosen: Their indices in the split, `(batch,)`.
            rng: The only source of randomness.

        Returns:
            Images and labels; the label of a synthetic image is `UNLABELLED`.
        """
        coin = rng.random()
        share = self._options.p_fake
        if self._options.mix == "batch":
            count = len(labels) if coin < share else 0
        else:
            # Rounded up or down at random, so that the expected share is `p_fake`.
            count = int(share * len(labels) + coin)
        if not count:
            return images, labels
        synthetic, rows = self._make_examples(chosen[:count], rng)
        images, labels = images.copy(), labels.copy()
        images[rows], labels[rows] = synthetic, UNLABELLED
        return images, labels

    def _make_examples(self, chosen, rng):
        """Makes examples; returns them and the rows of the batch that they replace."""
        if self._predict is None:
            return self._make(chosen, rng), np.arange(len(chosen))
        pool = self._make(np.tile(chosen, POOL), rng)
        confident = self._confidence(pool) >= self._options.min_confidence
        confident = confident.reshape(POOL, len(chosen))
        # The first confident candidate for each row; a row without one stays real.
        rows = np.flatnonzero(confident.any(axis=0))
        first = confident.argmax(axis=0)[rows]
        return pool.reshape(POOL, len(chosen), *pool.shape[1:])[first, rows], rows

    def _confidence(self, images):
        logits = self._predict(images)
        # The largest softmax probability, whose own exponential is exp(0) = 1.
        exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return 1 / exponentials.sum(axis=-1)
