"""A folder on disk: which of its folders are splits, classes, and images."""

import collections
import pathlib
from collections.abc import Sequence

from distill.data.sets import image_file

# Names that folders of splits have, in small letters.
SPLITS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_OF_SYSTEMS = {"__MACOSX", "@eaDir", "lost+found", "__pycache__"}
# Split or class, by what they hold: trains, and valid beside invalid.
_CLASSES_TOO = {"train", "valid"}


def layout(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """Name of each split to the folder with its class folders.

    Args:
        root: Holds class folders, or `train` and perhaps `val` and `test` with class
            folders each, under any of the names in `SPLITS`.

    Returns:
        Only `train`, the root itself, where nothing is split.

    Raises:
        ValueError: If it is neither, or half of both.
    """
    named, others = _sorted_out(root)
    if not any(named.values()):
        return {"train": root}
    for split, names in named.items():
        if len(names) > 1 or (split == "train" and not names):
            wanted = f"one folder `{split}` with class folders"
            raise _unclear(root, wanted, ", ".join(names) or "none")
    (train,) = named["train"]
    if others:
        wanted = f"all class folders in {train}, or no folder of a split at all"
        raise _unclear(root, wanted, f"{', '.join(others)} beside it")
    found = {split: root / names[0] for split, names in named.items() if names}
    _check_classes(root, found)
    return found


def folders(root: pathlib.Path) -> tuple[str, ...]:
    """Names of the folders directly below, sorted, but for those of other programs.

    None, if it is no folder.
    """
    if not root.is_dir():
        return ()
    return tuple(
        sorted(
            entry.name for entry in root.iterdir() if _is_seen(entry) and entry.is_dir()
        )
    )


def images(
    root: pathlib.Path, classes: Sequence[str]
) -> tuple[list[tuple[pathlib.Path, int]], list[pathlib.Path]]:
    """The images of each class folder.

    Args:
        root: Holds the class folders.
        classes: Their names, in the order of the labels.

    Returns:
        Each file with its label, by class and name; and what else is there.
    """
    found, others = [], [entry for entry in _seen(root) if not entry.is_dir()]
    for label, name in enumerate(classes):
        for entry in _seen(root / name):
            if entry.suffix.lower() in image_file.SUFFIXES:
                found.append((entry, label))
            else:
                others.append(entry)
    return found, others


def counted(entries: Sequence[pathlib.Path]) -> str:
    """How many there are of each ending, in words."""
    kinds = collections.Counter(map(_kind, entries))
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def _sorted_out(root):
    """Each split's folders, and the others."""
    named: dict[str, list[str]] = {split: [] for split in SPLITS}
    others = []
    for name in folders(root):
        split = _split_of(name)
        is_split = name.lower() not in _CLASSES_TOO or folders(root / name)
        (named[split] if split and is_split else others).append(name)
    return named, others


def _check_classes(root, found):
    """Refuses splits without classes, or with some that train has not."""
    classes = folders(found["train"])
    for split, folder in found.items():
        own = folders(folder)
        if not own:
            raise _unclear(root, f"class folders in {folder.name}", "none")
        if alone := sorted(set(own) - set(classes)):
            wanted = f"in {folder.name} the class folders of {found['train'].name}"
            raise _unclear(root, wanted, f"{', '.join(alone)}, in {split} alone")


def _seen(folder):
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if _is_seen(entry))


def _is_seen(entry):
    return not entry.name.startswith(".") and entry.name not in _OF_SYSTEMS


def _kind(entry):
    if entry.is_dir():
        return "folders"
    return entry.suffix.lower() or "without an ending"


def _split_of(name):
    for split, names in SPLITS.items():
        if name.lower() in names:
            return split
    return None


def _unclear(root, expected, received):
    return ValueError(f"`path` must hold {expected}. Received: {received} in {root}")
