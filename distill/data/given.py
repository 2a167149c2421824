"""Writes the examples that a Python program has into a folder of arrays.

Arrays, `tf.data` data sets and any iterables are read once. From then on a run, its
finishing process and every command read the same rows of the same files.
"""

import hashlib
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from distill.data import memmap
from distill.data.sets import array_folder, arrays
from distill.data.splits import CHUNK, NAMES
from distill.runtime import errors, hashes
from distill.runtime.errors import DataError

CLASS_NAMES = "class_names"  # A key beside the splits.
_EXPECTED = (
    "arrays (x, y), a tf.data.Dataset, a keras.utils.PyDataset, a Grain data set, or a "
    "finite iterable of (x, y)"
)
_TEMPORARY = ".unfinished-"
_INFINITE = -1  # `tf.data.INFINITE_CARDINALITY`.


def save(given: Any, folder: pathlib.Path) -> pathlib.Path:
    """Writes examples into a folder whose name depends on the rows, not on their order.

    So a pipeline that shuffles, given again, finds the rows as they were read first.

    Args:
        given: The training split, the tuple `(train, validation, test)`, or a dict of
            these names and perhaps `class_names`. A split that is absent or None is
            drawn from `train`. A split is a pair of arrays, or an iterable of pairs,
            each of which is an example or a batch.
        folder: Where the folder is made, unless there is one of the same rows; no other
            process may use it.

    Returns:
        The folder, for `{name: array_folder, options: {path: ...}}`.

    Raises:
        DataError: If the examples would be read wrongly; see `arrays.images`.
        WriteError: If they cannot be written.
    """
    splits, names = _by_name(given)
    try:
        folder.mkdir(exist_ok=True)
        for leftover in folder.glob(f"{_TEMPORARY}*"):  # Of a process that was killed.
            shutil.rmtree(leftover)
        # In the same file system, so that the folder can be renamed into place.
        with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=folder) as temporary:
            made = pathlib.Path(temporary) / "made"
            made.mkdir()
            pieces = [f"{part} {_write(splits[part], part, made)}" for part in splits]
            if names is not None:
                text = "".join(f"{' '.join(str(name).split())}\n" for name in names)
                (made / array_folder.LABELS).write_text(text, encoding="utf-8")
                pieces.append(text)
            _check(made, splits, names)
            target = folder / hashes.fingerprint(*pieces)
            if not target.exists():
                made.rename(target)
            return target
    except OSError as error:
        # A full disk names no file.
        if error.filename is not None and str(folder) not in str(error.filename):
            raise  # Of the program's own pipeline.
        raise errors.WriteError(f"cannot write {folder}: {error}") from error


def _by_name(given):
    """The splits by their names, and the names of the classes or None."""
    if isinstance(given, Mapping):
        splits = dict(given)
    elif isinstance(given, tuple) and len(given) == len(NAMES):
        splits = dict(zip(NAMES, given, strict=True))
    elif isinstance(given, tuple) and not _is_pair(given):
        raise DataError(
            f"`data` must be (train, validation, test), or a dict of {', '.join(NAMES)}"
            f". Received: a tuple of {len(given)}"
        )
    else:
        splits = {"train": given}
    names = splits.pop(CLASS_NAMES, None)
    splits = {name: split for name, split in splits.items() if split is not None}
    if "train" not in splits or not set(splits) <= set(NAMES):
        raise DataError(
            f"`data` must have train, and perhaps validation, test and {CLASS_NAMES}. "
            f"Received: {', '.join(map(str, splits)) or 'nothing'}"
        )
    return {name: splits[name] for name in NAMES if name in splits}, names


def _write(source, part, folder):
    """Writes a split; returns a text that depends on its rows, not on their order."""
    total, labels, first = 0, [], None
    with (folder / f"{part}_x.npy").open("wb") as file:
        for images, own in _chunks(source, part):
            if first is None:
                first = images.dtype, images.shape[1:]
                memmap.write_header(file, first[0], (0, *first[1]))
            elif first != (images.dtype, images.shape[1:]):
                raise DataError(
                    f"data: the images of {part} must be of one type and shape. "
                    f"Received: {_say(*first)}, then "
                    f"{_say(images.dtype, images.shape[1:])}"
                )
            if labels and labels[0].shape[1:] != own.shape[1:]:
                raise DataError(
                    f"data: the labels of {part} must be of one shape. Received: "
                    f"{labels[0].shape[1:]}, then {own.shape[1:]}"
                )
            images.tofile(file)
            labels.append(own)
            for image, label in zip(images, own, strict=True):
                row = hashlib.sha256(image.tobytes() + label.tobytes())
                total += int.from_bytes(row.digest())
        if first is None:
            raise DataError(f"data: There is no {part} example")
        count = sum(map(len, labels))
        file.seek(0)
        memmap.write_header(file, first[0], (count, *first[1]))
    np.save(folder / f"{part}_y.npy", np.concatenate(labels))
    return f"{_say(*first)} {count} {total % 2**256:x}"


def _say(dtype, shape):
    return f"{dtype} {shape}"


def _check(folder, splits, names):
    """Refuses arrays that would be read wrongly, with the names that the caller has."""
    train = arrays.load(folder / "train_y.npy")
    classes = array_folder.count_classes(train) if names is None else len(names)
    shape = arrays.load(folder / "train_x.npy").shape[1:]
    if len(shape) not in (2, 3):
        expected = "images (n, height, width, channels)"
        raise DataError(f"data: x of train must be {expected}. Received: {shape}")
    shape = (*shape, 1) if len(shape) == 2 else shape
    for part in splits:
        files = [arrays.load(folder / f"{part}_{axis}.npy") for axis in "xy"]
        where = {axis: f"data: {axis} of {part}" for axis in "xy"}
        array_folder.checked(*files, where, shape, classes)


def _chunks(source, part) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields images and labels, some rows at a time, as they are written."""
    for images, labels in _batches(source, part):
        for axis, array in zip("xy", (images, labels), strict=True):
            if array.dtype.kind not in "biuf":
                expected = f"data: {axis} of {part} must be numbers"
                raise DataError(f"{expected}. Received: {array.dtype}")
        # One type of each kind, so that the same rows have the same bytes.
        if images.dtype.kind == "f":
            images = images.astype("<f4")
        if labels.dtype.kind in "iu":
            labels = labels.astype("<i8")
        yield np.ascontiguousarray(images), labels


def _batches(source, part):
    """Yields images and labels of some rows."""
    if isinstance(source, tuple) and _is_pair(source):
        images, labels = map(np.asarray, source)
        if not images.ndim or labels.shape[:1] != images.shape[:1]:
            raise DataError(
                f"data: {part} must have as many labels as images. "
                f"Received: y of shape {labels.shape}, x of shape {images.shape}"
            )
        for start in range(0, len(images), CHUNK):
            yield images[start : start + CHUNK], labels[start : start + CHUNK]
        return
    batched = None
    for element in _elements(source, part):
        if not isinstance(element, tuple | list) or len(element) != 2:
            raise DataError(
                f"data: {part} must give pairs (x, y). Received: {_kind(element)}"
            )
        images, labels = map(np.asarray, element)
        if batched is None:
            batched = _is_batched(source, images, labels)
        if batched and images.shape[:1] != labels.shape[:1]:
            raise DataError(
                f"data: {part} must have as many labels as images. "
                f"Received: y of shape {labels.shape}, x of shape {images.shape}"
            )
        yield (images, labels) if batched else (images[None], labels[None])


def _elements(source, part) -> Iterable:
    """The examples or batches of a data set, in order."""
    if hasattr(source, "element_spec"):
        if int(source.cardinality()) == _INFINITE:
            raise DataError(f"data: {part} must end. Received: an infinite data set")
        return source.as_numpy_iterator()
    if isinstance(source, str | bytes | Mapping) or hasattr(source, "__array__"):
        raise DataError(f"data: {part} must be {_EXPECTED}. Received: {_kind(source)}")
    if hasattr(source, "__len__") and len(source) == sys.maxsize:
        raise DataError(f"data: {part} must end. Received: an infinite data set")
    # First: what Grain has filtered is None by its index, and absent from its iterator.
    if hasattr(source, "__iter__"):
        return source
    if hasattr(source, "__getitem__") and hasattr(source, "__len__"):
        return (source[index] for index in range(len(source)))
    raise DataError(f"data: {part} must be {_EXPECTED}. Received: {_kind(source)}")


def _is_batched(source, images, labels):
    """Whether an element is a batch: images and labels share their first axis."""
    shapes = images.shape, labels.shape
    if not all(shapes) or shapes[0][0] != shapes[1][0]:
        return False
    # Examples may look like a batch. In a specification, sizes may be open, as None;
    # and so may be ranks, or parts of it may have none.
    spec = [getattr(part, "shape", None) for part in _spec_of(source)]
    if len(spec) != 2 or any(getattr(shape, "rank", None) is None for shape in spec):
        return True
    (first, *_), (other, *_) = (tuple(shape) or (None,) for shape in spec)
    return all(shape.rank for shape in spec) and (
        first == other or (labels.ndim == 1 and other is None)
    )


def _spec_of(source):
    """The specifications of a source's elements; empty if it has none."""
    spec = getattr(source, "element_spec", ())
    return spec if isinstance(spec, tuple) else ()


def _is_pair(given):
    """Whether this is one split of arrays: images and labels."""
    return len(given) == 2 and all(hasattr(part, "__array__") for part in given)


def _kind(value):
    """What something is, in messages."""
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return type(value).__name__
