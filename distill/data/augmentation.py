"""Random augmentation of training images, batch by batch."""

import dataclasses
import functools

import numpy as np

from distill.runtime.errors import check

# Part of the seed, so that variants differ from what else is drawn; see `Batches`.
_VARIANTS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes to training images. All off by default.

    Attributes:
        shift: Maximal translation in pixels along each axis; the border is zero.
        flip: Whether half of the images are mirrored left to right.
        variants: Number of augmented variants of each image. They are used in turn,
            one in each epoch, and are the same in every run. Absent, each epoch has
            new random changes, as always for teachers that learn from labels alone.
    """

    shift: int = 0
    flip: bool = False
    variants: int | None = None

    def __post_init__(self):
        """Refuses values out of range, and variants of unchanged images."""
        check(self.shift >= 0, "shift", "at least 0", self.shift)
        if self.variants is not None:
            check(self.variants >= 1, "variants", "at least 1", self.variants)
            check(self.changes, "variants", "absent without any change", self.variants)

    @property
    def changes(self) -> bool:
        """Whether any change is switched on."""
        return self.flip or self.shift > 0

    @property
    def without_variants(self) -> "Augmentation":
        """The same augmentation with new random changes in each epoch."""
        return dataclasses.replace(self, variants=None)

    @property
    def takes(self):
        """Supported kinds of inputs: images, or all if nothing is changed."""
        return ("images",) if self.changes else ("images", "texts")

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draws the random parameters for some images: int64, `(3, count)`.

        The three rows: whether an image is mirrored; the first row and the first
        column of the crop from the padded image.
        """
        parameters = np.zeros((3, count), np.int64)
        if self.flip:
            parameters[0] = rng.random(count) < 0.5
        if self.shift:
            parameters[1:] = rng.integers(0, 2 * self.shift + 1, (2, count))
        return parameters

    def variant(self, number: int, count: int) -> np.ndarray:
        """The parameters of one variant, for a whole split of `count` images."""
        return _variant(self.without_variants, number, count)

    def __call__(self, images: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Augments images `(batch, height, width, channels)`.

        Args:
            images: The images, of any type.
            parameters: As returned by `draw`.
        """
        if not self.changes or not len(images):
            return images  # These may be texts; see `takes`.
        count, height, width, channels = images.shape
        if self.flip:
            mirrored = parameters[0, :, None, None, None] > 0
            images = np.where(mirrored, images[:, :, ::-1], images)
        if self.shift:
            margin = slice(self.shift, -self.shift)
            sides = height + 2 * self.shift, width + 2 * self.shift
            padded = np.zeros((count, *sides, channels), images.dtype)
            padded[:, margin, margin] = images
            # Image by image: indexing single pixels takes several times as long.
            images = np.stack(
                [
                    image[top : top + height, left : left + width]
                    for image, top, left in zip(padded, *parameters[1:], strict=True)
                ]
            )
        return images


@functools.lru_cache(maxsize=2)  # A batch may span two epochs.
def _variant(augmentation, number, count):
    return augmentation.draw(count, np.random.default_rng((_VARIANTS, number)))
