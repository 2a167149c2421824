"""Further training examples that have no labels: where they come from."""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from distill.data import memmap
from distill.data.sets import arrays, class_folders, image_file
from distill.data.splits import Split
from distill.runtime import progress
from distill.runtime.errors import DataError, check

TRAIN = "train_x.npy"  # In a folder of arrays.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unlabelled:
    """Training examples without labels, which only a teacher labels.

    Stages and finishers use them by their `labelled_share`. They become what the
    labelled images are: of the same size and channels, from 0 to 1.

    Attributes:
        path: A folder of images, of which all are read, in folders at any depth, whose
            names do not matter; or a folder with `train_x.npy`; or an `.npy` file.
            Images are decoded and resized as those of an `image_folder`; arrays must
            have the form of an `array_folder` and the size of the labelled images.
        examples: In place of `path`, a number of training examples that
            `train_examples` leaves out and the validation split does not take, drawn
            at random; their labels are dropped. With `splits`, those that its file
            lists as `unlabelled`.

    Raises:
        ValueError: If not exactly one of both is given, or it is out of its range.
    """

    takes: ClassVar[tuple[str, ...]] = ("images",)

    path: str | None = None
    examples: int | None = None

    def __post_init__(self):
        """Refuses both or neither, and what does not exist."""
        if self.path is None:
            check(self.examples is not None, "path", "given, or else `examples`", None)
            check(self.examples >= 1, "examples", "at least 1", self.examples)
            return
        check(self.examples is None, "examples", "absent beside `path`", self.examples)
        check(self.place.exists(), "path", "a folder or file that exists", self.path)

    @property
    def place(self) -> pathlib.Path:
        """The folder or file of `path`."""
        return pathlib.Path(self.path or "").expanduser()

    def read(self, shape: tuple[int, ...], *, on_disk: bool = False) -> Split:
        """Reads the examples of `path`.

        Args:
            shape: `(height, width, channels)` of the labelled images.
            on_disk: Whether decoded images are kept in a file, as by `image_folder`.

        Returns:
            The examples, without labels; those of arrays stay in their file.

        Raises:
            DataError: If there are none, or one does not have the form of the labelled
                images.
        """
        place = self.place / TRAIN if (self.place / TRAIN).is_file() else self.place
        if place.is_file():
            inputs = memmap.Rows(arrays.images(arrays.load(place), str(place), shape))
            names = [f"unlabelled:{row}" for row in range(len(inputs))]
        else:
            inputs, names = _read_folder(place, shape, on_disk)
        labels = np.zeros(len(inputs), np.int64)
        return Split(inputs, labels, np.array(names, object)).without_labels()

    def draw(self, rest: Split, seed: int) -> Split:
        """Draws `examples` and drops their labels.

        Args:
            rest: Examples that are in no split.
            seed: Seed of the drawing.

        Raises:
            DataError: If there are fewer.
        """
        most = len(rest.labels)
        if self.examples > most:
            raise DataError(
                f"`unlabelled.examples` must be at most {most}, the number of examples "
                f"that are in no split. Received: {self.examples}"
            )
        # Not stratified: nobody would know the classes.
        order = np.random.default_rng(seed).permutation(most)
        return rest.take(np.sort(order[: self.examples])).without_labels()


def _read_folder(root, shape, on_disk):
    """The images of a folder, and their names."""
    files, others = class_folders.images_below(root)
    if others:
        counts = class_folders.count_suffixes(others)
        progress.say(f"    ignored in {root}, not images: {counts}")
    if not files:
        raise DataError(f"There is no image in {root}, which `unlabelled.path` names")
    names = [f"unlabelled:{file.relative_to(root).as_posix()}" for file in files]
    decoded = _decode(files, shape)
    if not on_disk:
        return np.array([image for image, *_ in decoded]), names
    also = f"{image_file.READING} unlabelled"
    try:
        return memmap.read_or_decode(files, shape, lambda: decoded, also)[0], names
    except OSError as error:
        raise DataError(f"Cannot save the decoded images of {root}: {error}") from None


def _decode(files, shape) -> Iterator[tuple[np.ndarray, int, int]]:
    """Yields image, no label, and position of each file."""
    for position, file in enumerate(files):
        try:
            image = image_file.read(file, shape)
        except Exception as error:  # A damaged file may raise any error.
            raise DataError(
                f"Cannot read the image {file}: {error}. Fix or remove it"
            ) from None
        yield image, 0, position
