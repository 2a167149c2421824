"""Split -> training batches, each a pure function of (seed, step)."""

import collections.abc
import dataclasses

import numpy as np

from distill import data, processes, synthetic


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes to training images. All off by default.

    Attributes:
        shift: Largest translation in pixels, each axis; the border is zero.
        flip: Whether half of the images are mirrored left to right.
    """

    shift: int = 0
    flip: bool = False

    def __post_init__(self):
        """Refuses a negative shift."""
        if self.shift < 0:
            raise ValueError(f"`shift` must be at least 0. Received: {self.shift}")

    @property
    def takes(self):
        """Kinds of inputs: images, but all where it changes nothing."""
        return ("images",) if self.flip or self.shift else ("images", "texts")

    def __call__(
        self,
        images: np.ndarray,
        rng: np.random.Generator,
        rows: slice = slice(None),
        batch_size: int | None = None,
    ) -> np.ndarray:
        """Changes a batch of images, or some rows of it as if all were there.

        Args:
            images: `(rows, height, width, channels)`.
            rng: Draws for the whole batch.
            rows: Which of its rows the images are.
            batch_size: Of the whole batch; None if it is given whole.
        """
        if not (self.flip or self.shift):
            return images  # Or texts: see `takes`.
        count = batch_size or len(images)
        here, height, width, _ = images.shape
        if self.flip:
            mirrored = rng.random(count)[rows] < 0.5
            images = np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)
        if self.shift:
            margin = (self.shift, self.shift)
            padded = np.pad(images, ((0, 0), margin, margin, (0, 0)))
            offsets = rng.integers(0, 2 * self.shift + 1, (2, count, 1, 1))
            top, left = offsets[:, rows]
            down = top + np.arange(height)[None, :, None]
            across = left + np.arange(width)[None, None, :]
            images = padded[np.arange(here)[:, None, None], down, across]
        return images


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
        augmentation: Augmentation,
        mixture: synthetic.Mixture | None = None,
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
        return max(1, len(self.split.labels) // self.batch_size)

    def batch(
        self, step: int, rows: slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Batch number `step`, from 0, or some of its rows.

        Returns:
            Inputs, see `data.floats`, `(batch_size, ...)`, and labels, int64,
            `(batch_size,)`, `synthetic.UNLABELLED` where an example was made.
        """
        count = len(self.split.labels)
        positions = step * self.batch_size + np.arange(self.batch_size)
        chosen = np.concatenate(
            [
                self._permutation(epoch)[positions[positions // count == epoch] % count]
                for epoch in np.unique(positions // count)
            ]
        )
        rng = np.random.default_rng((self.seed, 1, step))
        wanted = chosen if self.mixture is not None else chosen[rows]
        images = data.floats(self.split.inputs[wanted])
        labels = self.split.labels[wanted]
        if self.mixture is not None:  # Of the batch as a whole.
            own = np.random.default_rng((self.seed, 2, step))
            images, labels = self.mixture(images, labels, chosen, own)
            images, labels = images[rows], labels[rows]
        return self.augmentation(images, rng, rows, self.batch_size), labels

    def stream(self, start: int = 0) -> collections.abc.Iterator:
        """Batches without end, from number `start` on: this process's rows of each."""
        step = start
        while True:
            yield self.batch(step, processes.rows(self.batch_size))
            step += 1

    def _permutation(self, epoch):
        if self._order[0] != epoch:
            rng = np.random.default_rng((self.seed, 0, int(epoch)))
            self._order = (epoch, rng.permutation(len(self.split.labels)))
        return self._order[1]
