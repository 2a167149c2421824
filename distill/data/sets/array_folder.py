"""A user's own arrays: a folder of `.npy` files."""

import dataclasses
import functools
import pathlib
from typing import ClassVar

import numpy as np

from distill.data import checks, memmap
from distill.data.dataset import Dataset
from distill.data.sets import arrays
from distill.data.splits import NAMES, UNLABELLED, Parts, Split
from distill.runtime.errors import DataError, check

LABELS = "labels.txt"  # As beside an exported model; see `distill.data.sidecar`.


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArrayFolder(Dataset):
    """A folder with `train_x.npy` and `train_y.npy`.

    If it contains `validation_x.npy`, `test_x.npy` and their labels, these are splits
    too; a missing one is drawn from `train`. Images are `(n, height, width, channels)`,
    uint8 or float32 in [0, 1]; grey ones may lack the last axis. They are read batch by
    batch, so they need not fit into memory. Labels are whole numbers from 0, `(n,)`.

    Attributes:
        path: The folder. A file `labels.txt` in it names the classes, one on each line,
            in the order of the labels; without it they are named by their numbers.
        teacher_classes: Number of classes of the teacher where there is no
            `train_y.npy`: the training examples have no labels then, nor have those of
            another split without its file; see docs/unlabelled.md.
    """

    omitted_when_absent: ClassVar[tuple[str, ...]] = ("teacher_classes",)

    path: str
    teacher_classes: int | None = None

    def __post_init__(self):
        """Refuses a folder without arrays of images and at least two classes."""
        if self.path:
            self._check_classes()
        try:
            shape, names = self.input_shape, self.class_names
        except DataError as error:
            raise ValueError(f"`path`: {error}") from None
        if len(shape) != 3:
            raise ValueError(
                "`path` must hold images of shape (n, height, width, channels) in "
                f"train_x.npy. Received: {('n', *shape)}"
            )
        if alike := checks.find_alike(names):
            raise ValueError(f"`path` must hold different classes. Received: {alike}")
        if len(names) < 2:
            raise ValueError(
                f"`path` must hold at least two classes. Received: {len(names)}"
            )
        super().__post_init__()

    @property
    def own_splits(self):
        """The splits that have a file."""
        return {name for name in NAMES if self._file(name, "x").is_file()}

    @property
    def labelled(self):
        """All splits; with `teacher_classes`, those that have a file of labels."""
        if self.teacher_classes is None:
            return super().labelled
        return {name for name in NAMES if self._file(name, "y").is_file()}

    def _check_classes(self):
        has_labels = self._file("train", "y").is_file()
        check(
            self.teacher_classes is None or not has_labels,
            "teacher_classes",
            "absent beside train_y.npy, which has the classes",
            self.teacher_classes,
        )
        lines = self.class_names if self._names_file.is_file() else ()
        check(
            self.teacher_classes is None
            or not lines
            or len(lines) == self.teacher_classes,
            "teacher_classes",
            f"{len(lines)}, the lines of {LABELS}",
            self.teacher_classes,
        )

    @property
    def _names_file(self):
        return pathlib.Path(self.path).expanduser() / LABELS

    @property
    def input_shape(self):
        """`(height, width, channels)`."""
        shape = arrays.load(self._file("train", "x")).shape[1:]
        return (*shape, 1) if len(shape) == 2 else shape

    @property
    def num_classes(self):
        """Number of lines of `labels.txt`, or of different training labels."""
        return len(self.class_names)

    @property
    def class_names(self):
        """Lines of `labels.txt`; else numbers."""
        names = self._names_file
        if self.teacher_classes is not None and not names.is_file():
            return tuple(map(str, range(self.teacher_classes)))
        source = names if names.is_file() else self._file("train", "y")
        try:
            return _class_names(source, memmap.stamp(source))
        except OSError as error:
            raise DataError(f"{source} cannot be read: {error.strerror}") from None

    def _file(self, split, axis):
        return pathlib.Path(self.path).expanduser() / f"{split}_{axis}.npy"

    def _examples(self):
        own = [name for name in NAMES if name in self.own_splits]
        return Parts(**{name: self._read(name) for name in own})

    def _read(self, name):
        files = {axis: self._file(name, axis) for axis in "xy"}
        where = {axis: str(file) for axis, file in files.items()}
        images = arrays.load(files["x"])
        if self.teacher_classes is not None and name not in self.labelled:
            images = arrays.images(images, where["x"], self.input_shape)
            labels = np.full(len(images), UNLABELLED, np.int64)
        else:
            sizes = self.input_shape, self.num_classes
            labels = arrays.load(files["y"])
            images, labels = checked(images, labels, where, *sizes)
        names = np.array([f"{name}:{row}" for row in range(len(labels))], object)
        return Split(memmap.Rows(images), np.array(labels), names)


def checked(
    images: np.ndarray,
    labels: np.ndarray,
    where: dict[str, str],
    shape: tuple[int, ...],
    classes: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Checks the arrays of a split; see `arrays.images` and `arrays.labels`.

    Args:
        images: Images as they are in a file, which is not read into memory.
        labels: Their labels.
        where: The names of `x` and `y` in messages.
        shape: `(height, width, channels)` of one image.
        classes: Number of classes.

    Raises:
        DataError: If an array is anything else.
    """
    images = arrays.images(images, where["x"], shape)
    return images, arrays.labels(labels, where["y"], len(images), classes)


def count_classes(labels: np.ndarray) -> int:
    """The number of classes of training labels, one-hot ones too, which are refused."""
    one_hot = labels.ndim > 1 < labels.shape[1]
    return labels.shape[1] if one_hot else len(np.unique(labels))


@functools.lru_cache(maxsize=8)
def _class_names(source, stamp):
    """The names of the classes; `stamp` is a key of the cache only."""
    if source.name == LABELS:
        lines = source.read_text(encoding="utf-8").splitlines()
        return tuple(line.strip() for line in lines)
    return tuple(map(str, range(count_classes(arrays.load(source)))))
