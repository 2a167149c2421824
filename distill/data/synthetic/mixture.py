"""Puts made examples in the place of real ones, batch by batch."""

from collections.abc import Callable

import numpy as np

from distill.data.synthetic import sources

POOL = 4  # Examples made for each place where the teacher's confidence is asked.


class Mixture:
    """Puts made examples in the place of real ones, batch by batch.

    Args:
        options: The source.
        make: See `Synthetic.maker`.
        answer: From examples to a teacher's logits, `(n, classes)`; asked for its
            confidence, where that is wanted.
    """

    def __init__(
        self,
        options: sources.Synthetic,
        make: sources.Maker,
        answer: Callable[[np.ndarray], np.ndarray] | None = None,
    ):
        self._options, self._make, self._answer = options, make, answer

    def __call__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        chosen: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Replaces examples of a batch.

        Args:
            images: The real ones, before augmentation, `(batch, ...)`.
            labels: Their classes, `(batch,)`.
            chosen: Their indices in the split, `(batch,)`.
            rng: Decides everything.

        Returns:
            Images and labels; `UNLABELLED` where an example was made.
        """
        coin = rng.random()
        share = self._options.p_fake
        if self._options.mix == "batch":
            count = len(labels) if coin < share else 0
        else:
            count = int(share * len(labels) + coin)  # So that the mean is the share.
        if not count:
            return images, labels
        made, kept = self._made(chosen[:count], rng)
        images, labels = images.copy(), labels.copy()
        images[kept], labels[kept] = made, sources.UNLABELLED
        return images, labels

    def _made(self, chosen, rng):
        """Examples, and the places that they are for."""
        if self._answer is None:
            return self._make(chosen, rng), np.arange(len(chosen))
        pool = self._make(np.tile(chosen, POOL), rng)
        confident = self._confidence(pool) >= self._options.min_confidence
        confident = confident.reshape(POOL, len(chosen))
        places = np.flatnonzero(confident.any(axis=0))
        first = confident.argmax(axis=0)[places]
        return pool.reshape(POOL, len(chosen), *pool.shape[1:])[first, places], places

    def _confidence(self, images):
        logits = self._answer(images)
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return 1 / powers.sum(axis=-1)
