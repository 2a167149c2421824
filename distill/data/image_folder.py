"""Images of one's own: a folder with one folder of images for each class."""

import dataclasses
import pathlib

import numpy as np

from distill.data.dataset import DataError, Dataset, Split

IMAGE_FILES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageFolder(Dataset):
    """A folder with one folder of images for each class.

    Where it holds `train` and `test`, each of those has the class folders, and
    `test` is kept whole as the test split; otherwise one is drawn.

    Attributes:
        path: The folder.
        size: `(height, width)` that images are resized to.
        channels: 1 (grey) or 3 (colour).
    """

    path: str
    size: tuple[int, ...] = (32, 32)
    channels: int = 3

    def __post_init__(self):
        """Refuses a folder without classes."""
        if len(self.class_names) < 2:
            raise ValueError(
                "`path` must be a folder with a folder of images for each of at "
                f"least two classes. Received: {self.path}"
            )
        super().__post_init__()
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(
                f"`size` must be [height, width]. Received: {list(self.size)}"
            )
        if self.channels not in (1, 3):
            raise ValueError(f"`channels` must be 1 or 3. Received: {self.channels}")

    @property
    def image_shape(self):
        """`(height, width, channels)`."""
        return (*self.size, self.channels)

    @property
    def num_classes(self):
        """Number of class folders."""
        return len(self.class_names)

    @property
    def class_names(self):
        """Names of the class folders, sorted."""
        return _folders(self._part("train"))

    def _part(self, part):
        root = pathlib.Path(self.path).expanduser()
        return root / part if set(_folders(root)) == {"train", "test"} else root

    def _examples(self):
        train = self._read(self._part("train"))
        if self._part("train") == self._part("test"):
            return train, None
        return train, self._read(self._part("test"))

    def _read(self, root):
        files, labels = [], []
        for label, name in enumerate(self.class_names):
            found = [
                file
                for file in sorted((root / name).glob("*"))
                if file.suffix.lower() in IMAGE_FILES
            ]
            files += found
            labels += [label] * len(found)
        if not files:
            raise DataError(f"No image in the class folders of {root}")
        images = np.stack([self._pixels(file) for file in files])
        return Split(images, np.array(labels, np.int64))

    def _pixels(self, file):
        from PIL import Image

        try:
            with Image.open(file) as image:
                image = image.convert("L" if self.channels == 1 else "RGB")
                image = image.resize(self.size[::-1], Image.Resampling.BILINEAR)
                return np.asarray(image).reshape(self.image_shape)
        except Exception as error:  # A damaged file raises whatever its format does.
            raise DataError(f"Cannot read the image {file}: {error}") from None


def _folders(root):
    """Names of the folders directly below, sorted; none if it is no folder."""
    if not root.is_dir():
        return ()
    return tuple(sorted(entry.name for entry in root.iterdir() if entry.is_dir()))
