"""Writes the examples that a Python program has into a folder of arrays.

Arrays, `tf.data` data sets and any iterables are read once. From then on a run, its
finishing process and every command read the same rows of the same files.
"""

import hashlib
import pathlib
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from distill.data import memmap, rows
from distill.data.sets import array_folder, arrays
from distill.data.splits import NAMES
from distill.runtime import errors, hashes
from distill.runtime.errors import DataError

CLASS_NAMES = "class_names"  # A key beside the splits.
_TEMPORARY = ".unfinished-"


def save(given: Any, folder: pathlib.Path) -> pathlib.Path:
    """Writes examples into a folder whose name depends on the rows, not on their order.

    So a pipeline that shuffles, given again, finds the rows as they were read first.

    Args:
        given: The training split, the tuple `(train, validation, test)`, or a dict of
            these names and perhaps `class_names`. A split that is absent or None is
            drawn from `train`. A split is as for `rows.chunks`; without labels,
            `class_names` must be there.
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


def save_unlabelled(images: Any, folder: pathlib.Path) -> pathlib.Path:
    """As `save`, for further images without labels; returns their file."""
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=folder) as temporary:
        made = pathlib.Path(temporary)
        name = hashes.fingerprint(_write(images, "unlabelled", made))
        if (made / "unlabelled_y.npy").exists():
            raise DataError(
                "unlabelled: it must give images alone. Received: pairs (x, y)"
            )
        target = folder / f"unlabelled-{name}.npy"
        (made / "unlabelled_x.npy").replace(target)
        return target


def options(folder: pathlib.Path) -> dict[str, Any]:
    """The options of an `array_folder` for a folder that `save` has made."""
    found: dict[str, Any] = {"path": str(folder)}
    if not (folder / "train_y.npy").exists():
        names = (folder / array_folder.LABELS).read_text(encoding="utf-8")
        found["teacher_classes"] = len(names.splitlines())
    return found


def _by_name(given):
    """The splits by their names, and the names of the classes or None."""
    if isinstance(given, Mapping):
        splits = dict(given)
    elif isinstance(given, tuple) and len(given) == len(NAMES):
        splits = dict(zip(NAMES, given, strict=True))
    elif isinstance(given, tuple) and not rows.is_pair(given):
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
    total, count, labels, first = 0, 0, [], None
    with (folder / f"{part}_x.npy").open("wb") as file:
        for images, own in rows.chunks(source, part):
            if first is None:
                first = images.dtype, images.shape[1:]
                memmap.write_header(file, first[0], (0, *first[1]))
            _check_alike(part, first, images, labels, own)
            images.tofile(file)
            count += len(images)
            known = images[:, :0] if own is None else own
            labels += [] if own is None else [own]
            for image, label in zip(images, known, strict=True):
                row = hashlib.sha256(image.tobytes() + label.tobytes())
                total += int.from_bytes(row.digest())
        if first is None:
            raise DataError(f"data: There is no {part} example")
        if labels and sum(map(len, labels)) != count:
            raise DataError(
                f"data: {part} must have labels for all images, or for none"
            )
        file.seek(0)
        memmap.write_header(file, first[0], (count, *first[1]))
    if labels:
        np.save(folder / f"{part}_y.npy", np.concatenate(labels))
    return f"{_say(*first)} {count} {total % 2**256:x}"


def _check_alike(part, first, images, labels, own):
    """Refuses rows of another form than the first, or of which some have no label."""
    if first != (images.dtype, images.shape[1:]):
        raise DataError(
            f"data: the images of {part} must be of one type and shape. "
            f"Received: {_say(*first)}, then {_say(images.dtype, images.shape[1:])}"
        )
    if labels and np.shape(labels[0])[1:] != np.shape(own)[1:]:
        raise DataError(
            f"data: the labels of {part} must be of one shape. Received: "
            f"{np.shape(labels[0])[1:]}, then {np.shape(own)[1:]}"
        )


def _say(dtype, shape):
    return f"{dtype} {shape}"


def _check(folder, splits, names):
    """Refuses arrays that would be read wrongly, with the names that the caller has."""
    classes = len(names or ())
    if names is None:
        if not (folder / "train_y.npy").exists():
            raise DataError(
                f"data: images without labels need `{CLASS_NAMES}`, the classes of the "
                "teacher, in the dict beside `train`. Received: train as x alone, in "
                "place of pairs (x, y)"
            )
        classes = array_folder.count_classes(arrays.load(folder / "train_y.npy"))
    shape = arrays.load(folder / "train_x.npy").shape[1:]
    if len(shape) not in (2, 3):
        expected = "images (n, height, width, channels)"
        raise DataError(f"data: x of train must be {expected}. Received: {shape}")
    shape = (*shape, 1) if len(shape) == 2 else shape
    for part in splits:
        where = {axis: f"data: {axis} of {part}" for axis in "xy"}
        images, labels = (folder / f"{part}_{axis}.npy" for axis in "xy")
        if labels.exists():
            files = map(arrays.load, (images, labels))
            array_folder.checked(*files, where, shape, classes)
        elif part == "train" or not (folder / "train_y.npy").exists():
            arrays.images(arrays.load(images), where["x"], shape)
        else:
            raise DataError(f"data: {part} must have labels, as train has")
