"""Finds splits, classes and images in a folder."""

import collections
import pathlib
from collections.abc import Sequence

from distill.data.sets import image_file

# The names of split folders, in lower case.
SPLITS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_SYSTEM_FOLDERS = {"__MACOSX", "@eaDir", "lost+found", "__pycache__"}
# These may be classes too (a train; valid and invalid), which have no subfolders.
_AMBIGUOUS = {"train", "valid"}


def layout(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """Finds the folder of each split.

    Args:
        root: A folder with class folders; or with `train` and perhaps `val` and `test`,
            under any of the names in `SPLITS`, with class folders in each.

    Returns:
        Name of each split to the folder with its class folders; only `train`, with the
        root itself, if there are no folders of splits.

    Raises:
        ValueError: If the root has neither form, or a mixture of both.
    """
    named, others = _separate(root)
    if not any(named.values()):  # No folder of a split: the root has the classes.
        return {"train": root}
    for split, names in named.items():
        if len(names) > 1 or (split == "train" and not names):
            expected = f"one folder `{split}` with class folders"
            raise _error(root, expected, ", ".join(names) or "none")
    (train,) = named["train"]
    if others:
        expected = f"all class folders in {train}, or no folder of a split at all"
        raise _error(root, expected, f"{', '.join(others)} beside it")
    splits = {split: root / names[0] for split, names in named.items() if names}
    _check_classes(root, splits)
    return splits


def folders(root: pathlib.Path) -> tuple[str, ...]:
    """Names of the direct subfolders, sorted, without hidden and system folders.

    Empty if `root` is not a folder.
    """
    if not root.is_dir():
        return ()
    return tuple(
        sorted(
            entry.name
            for entry in root.iterdir()
            if _is_visible(entry) and entry.is_dir()
        )
    )


def images(
    root: pathlib.Path, classes: Sequence[str]
) -> tuple[list[tuple[pathlib.Path, int]], list[pathlib.Path]]:
    """Lists the images in the class folders.

    Args:
        root: The folder of the class folders.
        classes: Names of the class folders, in the order of the labels.

    Returns:
        Image files with their labels, sorted by class and name; and all other entries.
    """
    files, others = [], [entry for entry in _list_visible(root) if not entry.is_dir()]
    for label, name in enumerate(classes):
        for entry in _list_visible(root / name):
            if entry.suffix.lower() in image_file.SUFFIXES:
                files.append((entry, label))
            else:
                others.append(entry)
    return files, others


def images_below(
    root: pathlib.Path,
) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
    """Lists the images in a folder and all folders in it, whatever their names.

    Args:
        root: The folder.

    Returns:
        Image files, sorted; and all other files. Hidden and system folders are left
        out.
    """
    files: list[pathlib.Path] = []
    others: list[pathlib.Path] = []
    for entry in _list_visible(root):
        if entry.is_dir():
            for own, more in zip((files, others), images_below(entry), strict=True):
                own += more
        else:
            is_image = entry.suffix.lower() in image_file.SUFFIXES
            (files if is_image else others).append(entry)
    return files, others


def count_suffixes(entries: Sequence[pathlib.Path]) -> str:
    """Counts entries by suffix, as part of a message."""
    kinds = collections.Counter(map(_kind, entries))
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def _separate(root):
    """Separates the folders of each split from other folders."""
    named: dict[str, list[str]] = {split: [] for split in SPLITS}
    others = []
    for name in folders(root):
        split = _split_of(name)
        is_split = name.lower() not in _AMBIGUOUS or folders(root / name)
        (named[split] if split and is_split else others).append(name)
    return named, others


def _check_classes(root, splits):
    """Refuses splits without classes, or with classes that the training split lacks."""
    classes = folders(splits["train"])
    for split, folder in splits.items():
        own = folders(folder)
        if not own:
            raise _error(root, f"class folders in {folder.name}", "none")
        if extra := sorted(set(own) - set(classes)):
            expected = f"in {folder.name} the class folders of {splits['train'].name}"
            raise _error(root, expected, f"{', '.join(extra)}, in {split} alone")


def _list_visible(folder):
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if _is_visible(entry))


def _is_visible(entry):
    return not entry.name.startswith(".") and entry.name not in _SYSTEM_FOLDERS


def _kind(entry):
    if entry.is_dir():
        return "folders"
    return entry.suffix.lower() or "without an ending"


def _split_of(name):
    for split, names in SPLITS.items():
        if name.lower() in names:
            return split
    return None


def _error(root, expected, received):
    return ValueError(f"`path` must hold {expected}. Received: {received} in {root}")
