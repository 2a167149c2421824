"""Checks of loaded data sets, and warnings for readers of the results."""

import decimal
import itertools
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from distill.data.splits import CHUNK, Split, Splits
from distill.runtime.errors import DataError

_MAX_NAMES = 5  # In a message.
_MEASURED = ("validation", "test")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")


def check(parts: Mapping[str, Split], class_names: Sequence[str]) -> None:
    """Checks the splits that a data set comes with.

    Args:
        parts: Name of each split to its examples.
        class_names: Names of the classes, in the order of the labels.

    Raises:
        DataError: If a split has no example, a label belongs to no class, or a class
            has no training example.
    """
    classes = len(class_names)
    for name, part in parts.items():
        if not len(part.labels):
            raise DataError(f"There is no {name} example")
        if not part.has_labels:
            continue
        low, high = int(part.labels.min()), int(part.labels.max())
        if low < 0 or high >= classes:
            raise DataError(
                f"The labels of the {name} examples must be from 0 to {classes - 1}. "
                f"Received: {low} to {high}"
            )
    if missing := _missing(parts["train"], class_names):
        raise DataError(
            f"Every class must have training examples. Received: none of {missing}"
        )


def warnings(splits: Splits, class_names: Sequence[str]) -> tuple[str, ...]:
    """Finds properties of the data that make results misleading, without being errors.

    Args:
        splits: The examples.
        class_names: Names of the classes, in the order of the labels.

    Returns:
        One line for each warning.
    """
    parts = splits.by_name()
    lines = [
        f"No {name} example is of {missing}: results say nothing about that"
        for name, part in parts.items()
        if (missing := _missing(part, class_names))
    ]
    # Hashes instead of examples, of which there may be too many for memory.
    hashes = {name: _hashes(p.inputs) for name, p in splits.with_unlabelled().items()}
    pairs = itertools.combinations(parts, 2)
    if repeats := _repeated(splits, hashes, pairs):
        lines.append(
            f"The same example is in two splits: {'; '.join(repeats)}. Memorised "
            "examples raise the accuracy there: remove one of each"
        )
    # Where one is a training example too, nothing measured is touched.
    measured = [(name, "unlabelled") for name in hashes if name in _MEASURED]
    if splits.unlabelled and (repeats := _repeated(splits, hashes, measured)):
        lines.append(
            f"Examples without labels are measured on: {'; '.join(repeats)}. A student "
            "that has seen them agrees with its teacher there: remove them"
        )
    return tuple(lines)


def leakage_warning(pretrained: Sequence[str]) -> str:
    """The warning that networks may have been trained on the test split.

    Args:
        pretrained: Names of the networks that were trained elsewhere.
    """
    return (
        f"Networks that were trained elsewhere ({', '.join(pretrained)}) may have seen "
        "the test split, which was drawn here: their accuracy may be too high. "
        "splits.csv lists the examples of each split; `data.options.splits` reads such "
        "a file"
    )


def find_alike(names: Iterable[str]) -> str:
    """Finds two names that differ only in blanks, case or notation of a number.

    Returns:
        The two names as part of a message; empty if there are none.
    """
    seen: dict[str | decimal.Decimal, str] = {}
    for name in names:
        first = seen.setdefault(_normalize(name), name)
        if first != name:
            return f"{first!r} and {name!r}, different only in blanks, case or notation"
    return ""


def _normalize(name):
    # Decimal, since float would make long numbers equal that differ in the last digits.
    normalized = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
    return decimal.Decimal(normalized) if _NUMBER.fullmatch(normalized) else normalized


def _missing(part, class_names):
    """Names of the classes without an example, as part of a message."""
    if not part.has_labels:
        return ""
    names = [
        class_names[label]
        for label in np.setdiff1d(np.arange(len(class_names)), part.labels)
    ]
    more = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def _repeated(splits, hashes, pairs):
    """Counts the examples that are in two splits and names the first, for messages."""
    repeats, parts = [], splits.with_unlabelled()
    for earlier, later in pairs:
        repeated = np.flatnonzero(np.isin(hashes[later], hashes[earlier]))
        if not len(repeated):
            continue
        original = np.flatnonzero(hashes[earlier] == hashes[later][repeated[0]])[0]
        pair = f"{parts[later].names[repeated[0]]} is {parts[earlier].names[original]}"
        repeats.append(
            f"{len(repeated):,} of {len(hashes[later]):,} {later} examples in "
            f"{earlier} ({pair})"
        )
    return repeats


def _hashes(inputs):
    """A hash of each example: int64, `(n,)`."""
    # In chunks, since inputs may be rows of a file that does not fit into memory.
    chunks = (inputs[i : i + CHUNK] for i in range(0, len(inputs), CHUNK))
    keys = (
        hash(row if isinstance(row, str) else row.tobytes())
        for chunk in chunks
        for row in chunk
    )
    return np.fromiter(keys, np.int64, len(inputs))
