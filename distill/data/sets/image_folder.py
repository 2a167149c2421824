"""Images of one's own: a folder with one folder of images for each class."""

import dataclasses
import pathlib

import numpy as np

from distill.data import checks, memmap
from distill.data.dataset import Dataset
from distill.data.sets import class_folders, image_file
from distill.data.splits import Parts, Split
from distill.runtime import progress
from distill.runtime.errors import DataError


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageFolder(Dataset):
    """A folder with one folder of images for each class.

    Where it holds `train`, and perhaps `val` and `test`, with the class folders in
    each, those are the splits, and one that is missing is drawn from `train`; see
    `class_folders.SPLITS` for their other names. Files are PNG, JPEG, BMP, WebP, GIF or
    TIFF; see `image_file.read` for what is made of them. Hidden folders are no classes,
    other files are counted and passed over.

    Attributes:
        path: The folder.
        size: `(height, width)` that images are resized to.
        channels: 1 (grey) or 3 (colour).
        on_disk: Whether decoded training images stay in a file and are read batch
            by batch: for more of them than fit into memory. That file is used again;
            see `memmap.read_or_decode`. Validation and test are read into memory.
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
        try:
            names = self.class_names
        except OSError as error:
            raise ValueError(
                f"`path` must be a folder that can be read. Received: {error}"
            ) from None
        if len(names) < 2:
            raise ValueError(
                "`path` must be a folder with a folder of images for each of at "
                f"least two classes. Received: {self.path}"
            )
        if alike := checks.alike(names):
            raise ValueError(f"`path` must hold different classes. Received: {alike}")
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
    def own_splits(self):
        """Those that have a folder."""
        return set(class_folders.layout(self._root))

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
        return class_folders.folders(class_folders.layout(self._root)["train"])

    @property
    def _root(self):
        return pathlib.Path(self.path).expanduser()

    def _examples(self):
        bad: list[DataError] = []
        layout = class_folders.layout(self._root)
        parts = {split: self._read(root, bad) for split, root in layout.items()}
        if bad:
            progress.say(f"    left out {len(bad)} images that cannot be read")
        return Parts(**parts)

    def _read(self, root, bad):
        found, others = class_folders.images(root, self.class_names)
        if others:
            said = class_folders.counted(others)
            progress.say(f"    passed over in {root}, being no images: {said}")
        if not found:
            raise DataError(f"No image in the class folders of {root}")
        if self.on_disk:
            images, labels, places = self._kept(root, found, bad)
        else:
            decoded = list(self._decoded(found, bad))
            images = np.array([image for image, *_ in decoded])
            labels, places = (
                np.array([facts[at] for facts in decoded], np.int64) for at in (1, 2)
            )
        files = [file.relative_to(self._root).as_posix() for file, _ in found]
        return Split(images, labels, np.array(files, object)[places])

    def _kept(self, root, found, bad):
        # A label is no part of its file, and changes when another class comes in.
        labels = [label for _, label in found]
        also = f"{image_file.READING} {self.max_bad_images} {labels}"
        try:
            return memmap.read_or_decode(
                [file for file, _ in found],
                self.input_shape,
                lambda: self._decoded(found, bad),
                also,
            )
        except OSError as error:
            raise DataError(f"Cannot keep the images of {root}: {error}") from None

    def _decoded(self, found, bad):
        """Pixels, label and place of each file that can be read; notes the others."""
        for place, (file, label) in enumerate(found):
            try:
                image = self._pixels(file)
            except DataError as mistake:
                bad.append(mistake)
                if len(bad) > self.max_bad_images:
                    raise
                progress.say(f"    left out: {mistake}")
            else:
                yield image, label, place

    def _pixels(self, file):
        try:
            return image_file.read(file, self.input_shape)
        except Exception as error:  # A damaged file raises whatever its format does.
            raise DataError(
                f"Cannot read the image {file}: {error}. Mend or remove it, or raise "
                "`max_bad_images`"
            ) from None
