"""A user's own images: a folder with one folder of images for each class."""

import dataclasses
import pathlib
from typing import ClassVar

import numpy as np

from distill.data import checks, memmap
from distill.data.dataset import Dataset
from distill.data.sets import class_folders, image_file
from distill.data.splits import Parts, Split
from distill.data.unlabelled import Unlabelled
from distill.runtime import progress
from distill.runtime.errors import DataError


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageFolder(Dataset):
    """A folder with one folder of images for each class.

    If it contains `train`, and perhaps `val` and `test`, with class folders in each,
    these are the splits; a missing one is drawn from `train`. `class_folders.SPLITS`
    lists other names of them. Files are PNG, JPEG, BMP, WebP, GIF or TIFF;
    `image_file.read` says how they are decoded. Hidden folders are ignored; other files
    are counted and ignored.

    Attributes:
        path: The folder.
        size: `(height, width)` to which images are resized.
        channels: 1 (grey) or 3 (colour).
        on_disk: Whether decoded training images are saved in a file and read batch by
            batch, so that they need not fit into memory. Later runs use the file
            again; see `memmap.read_or_decode`. The validation and test splits are read
            into memory.
        max_bad_images: Number of unreadable images that may be left out; each is
            named. One more is an error.
        teacher_classes: Number of classes that the teacher knows, where the images
            have no labels: all images in `path` are read then, in folders of any name;
            see docs/unlabelled.md.
    """

    omitted_when_absent: ClassVar[tuple[str, ...]] = ("teacher_classes",)
    only_with: ClassVar[dict[str, str]] = {"max_bad_images": "no teacher_classes"}

    path: str
    size: tuple[int, ...] = (32, 32)
    channels: int = 3
    on_disk: bool = False
    max_bad_images: int = 0
    teacher_classes: int | None = None

    def __post_init__(self):
        """Refuses folders without classes, and values out of range."""
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
        if alike := checks.find_alike(names):
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
    def labelled(self):
        """All splits; with `teacher_classes`, none."""
        return super().labelled if self.teacher_classes is None else frozenset()

    @property
    def own_splits(self):
        """The splits that have a folder."""
        if self.teacher_classes is not None:
            return {"train"}
        return set(class_folders.layout(self._root))

    @property
    def input_shape(self):
        """`(height, width, channels)`."""
        return (*self.size, self.channels)

    @property
    def num_classes(self):
        """Number of class folders, or `teacher_classes`."""
        return len(self.class_names)

    @property
    def class_names(self):
        """Names of the class folders, sorted; or numbers."""
        if self.teacher_classes is not None:
            return tuple(map(str, range(self.teacher_classes)))
        return class_folders.folders(class_folders.layout(self._root)["train"])

    @property
    def _root(self):
        return pathlib.Path(self.path).expanduser()

    def _examples(self):
        if self.teacher_classes is not None:
            place = Unlabelled(path=self.path)
            return Parts(place.read(self.read_shape, on_disk=self.on_disk))
        bad: list[DataError] = []
        layout = class_folders.layout(self._root)
        parts = {split: self._read(root, bad) for split, root in layout.items()}
        if bad:
            progress.say(f"    left out {len(bad)} images that cannot be read")
        return Parts(**parts)

    def _read_unlabelled(self):
        return self.unlabelled.read(self.read_shape, on_disk=self.on_disk)

    def _read(self, root, bad):
        labelled, others = class_folders.images(root, self.class_names)
        if others:
            counts = class_folders.count_suffixes(others)
            progress.say(f"    ignored in {root}, not images: {counts}")
        if not labelled:
            raise DataError(f"There is no image in the class folders of {root}")
        if self.on_disk:
            images, labels, positions = self._decode_to_disk(root, labelled, bad)
        else:
            decoded = list(self._decode(labelled, bad))
            images = np.array([image for image, *_ in decoded])
            labels, positions = (
                np.array([record[at] for record in decoded], np.int64) for at in (1, 2)
            )
        files = [file.relative_to(self._root).as_posix() for file, _ in labelled]
        return Split(images, labels, np.array(files, object)[positions])

    def _decode_to_disk(self, root, labelled, bad):
        # Labels are not in the files, and change if a class is added.
        labels = [label for _, label in labelled]
        also = f"{image_file.READING} {self.max_bad_images} {labels}"
        try:
            return memmap.read_or_decode(
                [file for file, _ in labelled],
                self.input_shape,
                lambda: self._decode(labelled, bad),
                also,
            )
        except OSError as error:
            raise DataError(
                f"Cannot save the decoded images of {root}: {error}"
            ) from None

    def _decode(self, labelled, bad):
        """Yields image, label, position of each readable file; adds errors to `bad`."""
        for position, (file, label) in enumerate(labelled):
            try:
                image = self._pixels(file)
            except DataError as error:
                bad.append(error)
                if len(bad) > self.max_bad_images:
                    raise
                progress.say(f"    left out: {error}")
            else:
                yield image, label, position

    def _pixels(self, file):
        try:
            return image_file.read(file, self.input_shape)
        except Exception as error:  # A damaged file may raise any error.
            raise DataError(
                f"Cannot read the image {file}: {error}. Fix or remove it, or raise "
                "`max_bad_images`"
            ) from None
