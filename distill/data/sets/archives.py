"""Data sets of small images in one file each."""

import dataclasses
import hashlib
import os
import pathlib
from typing import ClassVar

import numpy as np

from distill.data.dataset import Dataset
from distill.data.sets import arrays
from distill.data.splits import Parts, Split
from distill.runtime.errors import DataError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Digits(Dataset):
    """Scikit-learn's handwritten digits: 1,797 real images, 8 x 8, 17 greys."""

    input_shape = (8, 8, 1)
    num_classes = 10
    class_names = tuple("0123456789")

    def _examples(self):
        from sklearn import datasets

        digits = datasets.load_digits()
        images = (digits.images[..., None] / 16).astype(np.float32)
        return Parts(_named_split(images, digits.target.astype(np.int64)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Archive(Dataset):
    """A set in one `.npz` file with `x_train`, `y_train`, `x_test`, `y_test`.

    Attributes:
        folder: The folder of the file. `None` looks in the folder that the environment
            variable `DISTILL_DATA` names, and else uses `keras.datasets`, which
            downloads the set once.
        size: `[height, width]` to which images are resized bilinearly, and the input
            size of exported files. Empty keeps the original size.
    """

    name: ClassVar[str]
    digest: ClassVar[str | None] = None  # SHA-256 of the downloaded arrays.
    image_shape: ClassVar[tuple[int, int, int]]  # Of the images in the file.

    folder: str | None = None
    size: tuple[int, ...] = ()

    def __post_init__(self):
        """Refuses a folder without the file, and invalid sizes."""
        super().__post_init__()
        if self.size and (len(self.size) != 2 or min(self.size) < 1):
            raise ValueError(
                f"`size` must be [height, width]. Received: {list(self.size)}"
            )
        if self.folder is not None and not self._file(self.folder).is_file():
            raise ValueError(
                f"`folder` must hold {self.name}.npz. Received: {self.folder}"
            )

    own_splits = frozenset({"train", "test"})

    @property
    def input_shape(self):
        """`(height, width, channels)`."""
        return (*(self.size or self.image_shape[:2]), self.image_shape[2])

    @property
    def read_shape(self):
        """`(height, width, channels)` of the images before they are resized."""
        return self.image_shape

    def load(self):
        """Reads the set, draws its splits, and resizes the images."""
        splits = super().load()
        if not self.size:
            return splits
        # Resized last: `train_examples` may have left most images out.
        parts = {
            name: dataclasses.replace(part, inputs=_resize(part.inputs, self.size))
            for name, part in splits.with_unlabelled().items()
        }
        return dataclasses.replace(splits, **parts)

    @property
    def file(self) -> pathlib.Path | None:
        """The file; None if the set would be downloaded."""
        folder = self.folder or os.environ.get("DISTILL_DATA")
        there = folder and self._file(folder).is_file()
        return self._file(folder) if there else None

    def _file(self, folder):
        return pathlib.Path(folder).expanduser() / f"{self.name}.npz"

    def _examples(self):
        where = f"The download of {self.name}" if self.file is None else self.file
        contents = self._download() if self.file is None else _read_archive(self.file)
        parts = {}
        for part in ("train", "test"):
            images = contents[f"x_{part}"]
            images = arrays.images(images, f"{where}: x_{part}", self.image_shape)
            array, count = contents[f"y_{part}"], len(images)
            labels = arrays.labels(array, f"{where}: y_{part}", count, self.num_classes)
            parts[part] = _named_split(images, labels, f"{part}:")
        kinds = [part.inputs.dtype for part in parts.values()]
        if kinds[0] != kinds[1]:
            raise DataError(
                f"{where}: x_test must be {kinds[0]}, as x_train is. "
                f"Received: {kinds[1]}"
            )
        return Parts(**parts)

    def _download(self):
        import keras

        try:
            pairs = getattr(keras.datasets, self.name).load_data()
        except Exception as error:  # Keras passes on any error of the network.
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(
                f"{self.name} is not on this machine and cannot be downloaded "
                f"({reason}). Put {self.name}.npz (x_train, y_train, x_test, y_test) "
                "into a folder and name it in DISTILL_DATA or `data.options.folder`"
            ) from None
        arrays = {
            f"{axis}_{part}": array
            for part, pair in zip(("train", "test"), pairs, strict=True)
            for axis, array in zip("xy", pair, strict=True)
        }
        if self.digest is not None and _digest(arrays) != self.digest:
            raise DataError(
                f"The download of {self.name} is not the published set: its SHA-256 "
                f"is {_digest(arrays)}, expected {self.digest}. Delete it and try again"
            )
        return arrays


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mnist(Archive):
    """MNIST: handwritten digits, 60,000 and 10,000 images, 28 x 28."""

    name = "mnist"
    digest = "c868f4cc70f1ec2961bd3b26437ea3a5d0e93cba4d95b336c6d475dd9dabb021"
    image_shape = (28, 28, 1)
    num_classes = 10
    class_names = tuple("0123456789")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FashionMnist(Archive):
    """Fashion-MNIST: clothes, 60,000 and 10,000 images, 28 x 28."""

    name = "fashion_mnist"
    digest = "59c4ea05a36442d6513afff578fc9c4a49bab9b60a7432bf84452b97809256a8"
    image_shape = (28, 28, 1)
    num_classes = 10
    class_names = (
        "T-shirt",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cifar10(Archive):
    """CIFAR-10: small photographs, 50,000 and 10,000 images, 32 x 32 x 3."""

    name = "cifar10"  # Keras pins the hash of its download.
    image_shape = (32, 32, 3)
    num_classes = 10
    class_names = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cifar100(Archive):
    """CIFAR-100, fine labels: 50,000 and 10,000 images, 32 x 32 x 3."""

    name = "cifar100"  # Keras pins the hash of its download.
    image_shape = (32, 32, 3)
    num_classes = 100
    class_names = tuple(str(label) for label in range(100))


def _read_archive(path):
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {
                name: archive[name]
                for name in ("x_train", "y_train", "x_test", "y_test")
            }
    except Exception as error:  # A damaged file may raise any error.
        raise DataError(
            f"{path} must be an .npz file with x_train, y_train, x_test and y_test, "
            f"without pickles: {error}"
        ) from None


def _named_split(inputs, labels, prefix=""):
    """Examples whose names are their row numbers, after a prefix."""
    names = np.array([f"{prefix}{row}" for row in range(len(labels))], object)
    return Split(inputs, labels, names)


def _resize(images, size):
    from PIL import Image

    def resize_plane(plane):
        resized = Image.fromarray(plane).resize(size[::-1], Image.Resampling.BILINEAR)
        return np.asarray(resized)

    def resize_image(image):
        if image.dtype == np.uint8:
            return resize_plane(image.squeeze(-1) if image.shape[-1] == 1 else image)
        planes = np.moveaxis(
            image.astype(np.float32), -1, 0
        )  # Pillow has no floats of several channels.
        return np.stack([resize_plane(plane) for plane in planes], -1)

    return np.stack(
        [resize_image(image).reshape(*size, image.shape[-1]) for image in images]
    )


def _digest(arrays):
    """SHA-256 over the arrays' bytes, in the order of their names."""
    sha = hashlib.sha256()
    for name in sorted(arrays):
        sha.update(np.ascontiguousarray(arrays[name]).tobytes())
    return sha.hexdigest()
