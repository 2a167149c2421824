"""A teacher that is a file of its answers, in the order of the data set's examples."""

import contextlib
import math
import pathlib
import zipfile
from collections.abc import Mapping

import numpy as np

from distill import data
from distill.data.splits import NAMES
from distill.runtime import errors
from distill.teach.answering.classes import Classes

_LARGEST_RATIO = 1000  # Of an array to the bytes that it is packed in.


class AnswersFile:
    """The answers in a `.npz` file: `train.logits`, and perhaps `train.section3`.

    Its arrays have a row for each example of a split that the data set has of its own.
    See `Answerer`.

    Args:
        path: The file.
        where: The teacher's key and file, for messages.
        classes: The classes of teacher and data.
        identity: See `Answerer`.
        needs_logits: Whether there must be logits.

    Raises:
        ConfigError: If arrays are missing or have other shapes.
        Untrusted: If the file may be unsafe.
    """

    def __init__(
        self,
        path: pathlib.Path,
        where: str,
        classes: Classes,
        identity: str,
        needs_logits: bool = True,
    ):
        self.where, self._classes, self._path = where, classes, path
        self.identity = identity
        headers = _headers(path)
        # A name alone is that of an array for the training examples.
        self._keys = {key if "." in key else f"train.{key}": key for key in headers}
        self._headers = {name: headers[key] for name, key in self._keys.items()}
        found = {name for name in self._headers if name.startswith("train.")}
        names = sorted({name.removeprefix("train.") for name in found})
        if not names or (needs_logits and "logits" not in names):
            raise errors.ConfigError(
                f"{where} must have an array `train.logits`, and `validation.logits` "
                "and `test.logits` of the splits that the data set has of its own. "
                f"Received: {', '.join(headers) or 'no arrays'}"
            )
        names.sort(key=lambda name: name != "logits")
        self.shapes = {name: self._headers[f"train.{name}"][1:] for name in names}
        if "logits" in names:
            self.shapes["logits"] = (len(classes.ours),)
            classes.select(np.empty((0, *self._headers["train.logits"][1:])))
        self._rows: dict[str, list[tuple[str, int]]] = {}
        self._arrays: dict[str, np.ndarray] = {}

    def check(self, splits: data.Splits) -> None:
        """Compares the arrays with the data, and finds the row of each example.

        Args:
            splits: The data.

        Raises:
            ConfigError: If an array is missing, has other shapes or too few or many
                rows, or has numbers that are not finite.
            Untrusted: If the file is damaged.
        """
        places = {}
        for split in NAMES:
            if split not in splits.own_names:
                continue
            examples = splits.own_names[split]
            places |= {name: (split, row) for row, name in enumerate(examples)}
            for name, shape in self.shapes.items():
                self._read(f"{split}.{name}", (len(examples), *shape))
        extra = sorted(set(self._headers) - set(self._arrays))
        if extra:
            raise errors.ConfigError(
                f"{self.where} must have no arrays of splits that the data set draws "
                "from its training examples, or of unknown names. Received: "
                f"{', '.join(extra)}"
            )
        self._rows = {
            split: [places[name] for name in part.names]
            for split, part in splits.by_name().items()
        }

    def _read(self, key, expected):
        """Reads an array after its shape has been compared."""
        if key.endswith(".logits"):
            expected = (expected[0], self._classes.count)
        received = self._headers.get(key)
        if received != expected:
            raise errors.ConfigError(
                f"{self.where} must have `{key}` of shape {expected}, a row for each "
                f"example that the data set has, in its order. Received: "
                f"{'nothing' if received is None else received}"
            )
        try:
            with np.load(self._path, allow_pickle=False) as archive:
                values = archive[self._keys[key]]
        except Exception as error:  # A damaged archive raises whatever it likes.
            raise errors.Untrusted(f"{self._path}: {key}: {error}") from None
        unfinished = int((~np.isfinite(values)).any(tuple(range(1, values.ndim))).sum())
        if unfinished:
            raise errors.ConfigError(
                f"{self.where} must have finite numbers. Received: NaN or infinity in "
                f"`{key}` for {unfinished} of {len(values)} examples"
            )
        values = values.astype(np.float32, copy=False)
        if key.endswith(".logits"):
            values = self._classes.select(values)
        self._arrays[key] = values

    def answer(self, split, indices, inputs):
        """See `Answerer`."""
        places = [self._rows[split][index] for index in indices]
        return {
            name: np.stack([self._arrays[f"{own}.{name}"][row] for own, row in places])
            for name in self.shapes
        }

    def ready(self) -> contextlib.AbstractContextManager:
        """See `Answerer`; nothing has to be freed."""
        return contextlib.nullcontext()


def _headers(path) -> Mapping[str, tuple[int, ...]]:
    """Name of each array to its shape, without reading it.

    Raises:
        Untrusted: If it is no `.npz` file, has anything but numbers, or claims more
            than it holds.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                info.filename.removesuffix(".npy"): _header(path, archive, info)
                for info in archive.infolist()
            }
    except errors.Untrusted:
        raise
    except Exception as error:  # A damaged archive raises whatever it likes.
        raise errors.Untrusted(f"{path} is no whole .npz file: {error}") from None


def _header(path, archive, info):
    name, most = info.filename, _LARGEST_RATIO * path.stat().st_size
    if not name.endswith(".npy") or info.file_size > most:
        raise errors.Untrusted(
            f"{path}: {name!r} is no array, or claims too much: {info.file_size:,} B"
        )
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read(member)
        size = math.prod(shape) * dtype.itemsize
        if dtype.kind not in "fiu" or size != info.file_size - member.tell():
            raise errors.Untrusted(
                f"{path}: {name!r} holds other things than numbers, or not as many as "
                f"it claims: {dtype}, shape {shape}"
            )
    return shape
