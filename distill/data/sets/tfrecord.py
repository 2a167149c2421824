"""Images in TFRecord files, of TensorFlow Datasets or a user's own."""

import dataclasses
import io
import itertools
import pathlib
import re

import numpy as np

from distill.data import memmap
from distill.data.dataset import Dataset
from distill.data.sets import image_file, records
from distill.data.splits import NAMES, Parts, Split
from distill.runtime.errors import DataError


@dataclasses.dataclass(frozen=True, kw_only=True)
class TFRecord(Dataset):
    """A folder of TFRecord files, each record a `tf.train.Example` with an image file.

    Names of files contain that of their split, as in TensorFlow Datasets: for `train`,
    `mnist-train.tfrecord-00000-of-00001`; or `train.tfrecord`, `train-00000-of-00016`.
    Images are decoded once to a file and read batch by batch, so that they need not fit
    into memory; see `memmap.read_or_decode`. The validation and test splits are read
    into memory. Decoding requires TensorFlow, whatever the backend of Keras.

    Attributes:
        path: The folder; for TensorFlow Datasets `NAME/VERSION`, whose `features.json`
            gives the defaults of other options.
        train: The split to train with.
        validation: The split to use as the validation split. `None` uses `validation`;
            if there is no such split, one is drawn.
        test: The split to use as the test split. `None` uses `test`; if there is no
            such split, one is drawn.
        image: The feature with the bytes of an image file; see `image_file.read`.
        label: The feature with the class, one int64 from 0.
        size: `[height, width]` to which images are resized bilinearly. Empty keeps the
            original size, which `features.json` must give and all images must have.
        channels: 1 (grey) or 3 (colour). `None`: as in `features.json`, else 3.
        classes: Number of classes. `None`: as in `features.json`.
    """

    path: str
    train: str = "train"
    validation: str | None = None
    test: str | None = None
    image: str = "image"
    label: str = "label"
    size: tuple[int, ...] = ()
    channels: int | None = None
    classes: int | None = None

    def __post_init__(self):
        """Refuses folders without the files, and sizes that are not given anywhere."""
        if not self._root.is_dir():
            raise ValueError(f"`path` must be a folder. Received: {self.path}")
        self._check_splits()
        self._check_features()
        if self.num_classes < 2:
            raise ValueError(
                "`classes` must be at least 2, and given if no "
                f"{records.FEATURES} has it. Received: {self.classes}"
            )
        super().__post_init__()
        if len(self.class_names) != self.num_classes:
            raise ValueError(
                f"`classes` must be {len(self.class_names)}, as many as the names in "
                f"{self.label}.labels.txt. Received: {self.num_classes}"
            )
        if len(self.input_shape) != 3 or min(self.input_shape) < 1:
            raise ValueError(
                "`size` must be [height, width], and given if no "
                f"{records.FEATURES} has one size for all images. "
                f"Received: {list(self.size)}"
            )
        if self.input_shape[-1] not in (1, 3):
            raise ValueError(
                f"`channels` must be 1 or 3. Received: {self.input_shape[-1]}"
            )

    @property
    def own_splits(self):
        """The splits that have files."""
        return set(self._splits)

    @property
    def input_shape(self):
        """`(height, width, channels)`."""
        value = (
            self._description(self.image, "image")
            .get("shape", {})
            .get("dimensions", [])
        )
        *size, channels = map(int, value or [3])
        return (*(self.size or size), self.channels or channels)

    @property
    def num_classes(self):
        """Number of classes: `classes`, or as in `features.json`."""
        value = self._description(self.label, "classLabel").get("numClasses", 0)
        return int(value) if self.classes is None else self.classes

    @property
    def class_names(self):
        """Lines of `label.labels.txt`, written by TensorFlow Datasets; else numbers."""
        names = records.read_class_names(self._root / f"{self.label}.labels.txt")
        return names or tuple(str(label) for label in range(self.num_classes))

    @property
    def _root(self):
        return pathlib.Path(self.path).expanduser()

    @property
    def _splits(self):
        """Each existing split to its name in the folder."""
        names = {name: getattr(self, name) for name in NAMES}
        return {
            name: split or name
            for name, split in names.items()
            if split or (name not in names.values() and self._files(name))
        }

    def _check_splits(self):
        used: set[str] = set()
        for name, split in self._splits.items():
            if split in used:
                raise ValueError(
                    f"`{name}` must be another split than those before it. "
                    f"Received: {split}"
                )
            if not self._files(split):
                raise ValueError(
                    f"`{name}` must be a split with files in {self._root}, such as "
                    f"{split}.tfrecord. Received: {split}"
                )
            used.add(split)

    def _description(self, feature, kind):
        """The description of a feature in `features.json`, if it is of that kind."""
        return records.read_features(self._root).get(feature, {}).get(kind, {})

    def _check_features(self):
        known = records.read_features(self._root)
        for name in ("image", "label"):
            if known and getattr(self, name) not in known:
                raise ValueError(
                    f"`{name}` must be a feature in {self._root / records.FEATURES}: "
                    f"{', '.join(known)}. Received: {getattr(self, name)}"
                )
        dtype = self._description(self.image, "image").get("dtype", "uint8")
        if dtype != "uint8":
            raise ValueError(
                f"`image` must be a feature of uint8 pixels. Received: {dtype}"
            )

    def _files(self, split):
        """The files of a split, in order; empty if there is no such split.

        Raises:
            ValueError: If some are missing.
        """
        pattern = rf"((?:.*-)?{re.escape(split)}(?:\.tfrecords?)?)(?:-(\d+)-of-(\d+))?"
        # Files of several sets may be in one folder, which would be ambiguous.
        sets: dict[tuple, dict[pathlib.Path, int]] = {}  # Each file to its shard index.
        for file in sorted(self._root.iterdir()):
            match = re.fullmatch(pattern, file.name)
            if match and file.is_file():
                name, shard, count = match.groups()
                sets.setdefault((name, count), {})[file] = int(shard or 0)
        if len(sets) > 1:
            names = ", ".join(next(iter(files)).name for files in sets.values())
            raise ValueError(
                f"`path` must hold files of one set for the split {split}. "
                f"Received: {names}"
            )
        for (_, count), files in sets.items():
            if list(files.values()) != list(range(int(count or 1))):
                raise ValueError(
                    f"`path` must hold all files of the split {split}: "
                    f"{next(iter(files)).name} is one of {int(count)}. Received: "
                    f"{len(files)}"
                )
        return [file for files in sets.values() for file in files]

    def _examples(self):
        splits = self._splits.items()
        return Parts(**{name: self._read(split) for name, split in splits})

    def _read(self, split):
        files = self._files(split)
        options = self.image, self.label, bool(self.size), self.num_classes
        try:
            images, labels, positions = memmap.read_or_decode(
                files,
                self.input_shape,
                lambda: self._decode(files),
                also=f"tfrecord {options} {image_file.READING}",
                count=lambda: sum(map(records.count_records, files)),
            )
        except OSError as error:
            raise DataError(
                f"Cannot save the decoded images of {self._root}: {error}"
            ) from None
        if not len(labels):
            raise DataError(
                f"There is no record in the files of {split} in {self._root}"
            )
        names = [f"{split}:{position}" for position in positions]
        return Split(images, labels, np.array(names, object))

    def _decode(self, files):
        """Yields image, label and position of each record."""
        count = itertools.count()
        for file in files:
            for index, record in enumerate(records.read_records(file)):
                try:
                    features = records.parse_example(record)
                    yield self._pixels(features), self._class(features), next(count)
                except DataError as error:
                    raise DataError(f"{file}, record {index}: {error}") from None

    def _pixels(self, features):
        (content,) = records.single_value(features, self.image, "bytes_list")
        file = io.BytesIO(content)
        try:
            return image_file.read(file, self.input_shape, bool(self.size))
        except Exception as error:  # A damaged image may raise any error.
            # Pillow names the file: here an object in memory.
            reason = str(error).replace(repr(file), f"of {len(content)} bytes")
            raise DataError(f"Cannot read `{self.image}`: {reason}") from None

    def _class(self, features):
        (label,) = records.single_value(features, self.label, "int64_list")
        if label not in range(self.num_classes):
            raise DataError(
                f"`{self.label}` must be from 0 to {self.num_classes - 1}. "
                f"Received: {label}"
            )
        return label
