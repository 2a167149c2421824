"""Random changes to training images, all of a batch at once."""

import dataclasses
import functools

import numpy as np

from distill.runtime.errors import check

_VARIANTS = 3  # Apart from what else draws: see `Batches.batch`.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes to training images. All off by default.

    Attributes:
        shift: Largest translation in pixels, each axis; the border is zero.
        flip: Whether half of the images are mirrored left to right.
        variants: Ways in which each image is changed, one an epoch and then over
            again, the same in every run; absent, each epoch has new ones. Teachers
            that learn from labels alone always see new ones.
    """

    shift: int = 0
    flip: bool = False
    variants: int | None = None

    def __post_init__(self):
        """Refuses numbers without a meaning."""
        check(self.shift >= 0, "shift", "at least 0", self.shift)
        if self.variants is not None:
            check(self.variants >= 1, "variants", "at least 1", self.variants)
            check(self.changes, "variants", "absent without any change", self.variants)

    @property
    def changes(self) -> bool:
        """Whether it does anything."""
        return self.flip or self.shift > 0

    @property
    def endless(self) -> "Augmentation":
        """The same changes, new ones in each epoch."""
        return dataclasses.replace(self, variants=None)

    @property
    def takes(self):
        """Kinds of inputs: images, but all where it changes nothing."""
        return ("images",) if self.changes else ("images", "texts")

    def draws(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """What is done to each of some images: int64, `(3, count)`.

        Rows: whether it is mirrored, rows and columns that it moves by.
        """
        drawn = np.zeros((3, count), np.int64)
        if self.flip:
            drawn[0] = rng.random(count) < 0.5
        if self.shift:
            drawn[1:] = rng.integers(0, 2 * self.shift + 1, (2, count))
        return drawn

    def variant(self, number: int, count: int) -> np.ndarray:
        """The draws of one variant, for a whole split of `count` images."""
        return _variant(self.endless, number, count)

    def __call__(self, images: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """Changes images `(batch, height, width, channels)`, as it was drawn."""
        if not self.changes:
            return images  # Or texts: see `takes`.
        count, height, width, channels = images.shape
        if self.flip:
            mirrored = drawn[0, :, None, None, None] > 0
            images = np.where(mirrored, images[:, :, ::-1], images)
        if self.shift:
            margin = slice(self.shift, -self.shift)
            sides = height + 2 * self.shift, width + 2 * self.shift
            padded = np.zeros((count, *sides, channels), images.dtype)
            padded[:, margin, margin] = images
            # Image by image: an index a pixel takes several times as long.
            images = np.stack(
                [
                    image[top : top + height, left : left + width]
                    for image, top, left in zip(padded, *drawn[1:], strict=True)
                ]
            )
        return images


@functools.lru_cache(maxsize=2)  # A batch may reach from one epoch into the next.
def _variant(augmentation, number, count):
    return augmentation.draws(count, np.random.default_rng((_VARIANTS, number)))
