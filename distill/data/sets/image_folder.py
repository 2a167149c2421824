"""Images of one's own: a folder with one folder of images for each class."""

import dataclasses
import pathlib
from typing import BinaryIO

import numpy as np

from distill.data import memmap
from distill.data.dataset import Dataset, Split
from distill.runtime import progress
from distill.runtime.errors import DataError

IMAGE_FILES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
FORMATS = ("PNG", "JPEG", "BMP", "WEBP")  # Whatever a file is called.


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageFolder(Dataset):
    """A folder with one folder of images for each class.

    Where it holds `train` and `test`, each of those has the class folders, and
    `test` is kept whole as the test split; otherwise one is drawn.

    Attributes:
        path: The folder.
        size: `(height, width)` that images are resized to.
        channels: 1 (grey) or 3 (colour).
        on_disk: Whether decoded training images stay in a file and are read batch
            by batch: for more of them than fit into memory. That file is used
            again; see `memmap`. Validation and test are read into memory.
        max_bad_images: Images that cannot be read and may be left out; each is
            named. One more ends the run.
    """

    path: str
    size: tuple[int, ...] = (32, 32)
    channels: int = 3
    on_disk: bool = False
    max_bad_images: int = 0

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
        if self.max_bad_images < 0:
            raise ValueError(
                f"`max_bad_images` must be at least 0. Received: {self.max_bad_images}"
            )

    @property
    def draws_test(self):
        """Where there is no folder of test images."""
        return self._part("train") == self._part("test")

    @property
    def input_shape(self):
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
        bad: list[DataError] = []
        train = self._read(self._part("train"), bad)
        test = None
        if self._part("train") != self._part("test"):
            test = self._read(self._part("test"), bad)
        if bad:
            progress.say(f"    left out {len(bad)} images that cannot be read")
        return train, test

    def _read(self, root, bad):
        found = [
            (file, label)
            for label, name in enumerate(self.class_names)
            for file in sorted((root / name).glob("*"))
            if file.suffix.lower() in IMAGE_FILES
        ]
        if self.on_disk:
            files = [file for file, _ in found]
            try:
                images, labels = memmap.read_or_decode(
                    files,
                    self.input_shape,
                    lambda: self._decoded(found, bad),
                    also=f"{self.max_bad_images} bad at most",
                )
            except OSError as error:
                raise DataError(f"Cannot keep the images of {root}: {error}") from None
        else:
            decoded = list(self._decoded(found, bad))
            images = np.array([image for image, _ in decoded])
            labels = np.array([label for _, label in decoded], np.int64)
        if not len(labels):
            raise DataError(f"No image in the class folders of {root}")
        return Split(images, labels)

    def _decoded(self, found, bad):
        """Pixels and label of each file that can be read; notes the others."""
        for file, label in found:
            try:
                image = self._pixels(file)
            except DataError as mistake:
                bad.append(mistake)
                if len(bad) > self.max_bad_images:
                    raise
                progress.say(f"    left out: {mistake}")
            else:
                yield image, label

    def _pixels(self, file):
        try:
            return pixels(file, self.input_shape)
        except Exception as error:  # A damaged file raises whatever its format does.
            raise DataError(
                f"Cannot read the image {file}: {error}. Mend or remove it, or raise "
                "`max_bad_images`"
            ) from None


def pixels(
    file: pathlib.Path | BinaryIO, shape: tuple[int, ...], resized: bool = True
) -> np.ndarray:
    """Decodes an image.

    Args:
        file: Of one of `FORMATS`.
        shape: `(height, width, channels)` of what is wanted; grey or colour.
        resized: Whether an image of another size is resized, bilinearly.

    Returns:
        uint8, of that shape.

    Raises:
        Exception: Whatever the format does, if the file is damaged; ValueError, if the
            image has another size.
    """
    from PIL import Image

    height, width, channels = shape
    with Image.open(file, formats=FORMATS) as image:
        if not resized and image.size != (width, height):
            raise ValueError(
                f"{image.height} x {image.width} pixels, not {height} x {width}"
            )
        image = image.convert("L" if channels == 1 else "RGB")
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(image).reshape(shape)


def _folders(root):
    """Names of the folders directly below, sorted; none if it is no folder."""
    if not root.is_dir():
        return ()
    return tuple(sorted(entry.name for entry in root.iterdir() if entry.is_dir()))
