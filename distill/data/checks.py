"""What every set must hold, and what a reader of its numbers should know."""

import decimal
import itertools
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from distill.data.splits import AT_ONCE, Split
from distill.runtime.errors import DataError

_SHOWN = 5  # Names in a line.
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")


def check(parts: Mapping[str, Split], class_names: Sequence[str]) -> None:
    """Refuses what would train to something else than it says.

    Args:
        parts: Name of each split that the set comes with to it.
        class_names: In the order of the labels.

    Raises:
        DataError: If a split has no example, a label is of no class, or a class has
            no training example.
    """
    classes = len(class_names)
    for name, part in parts.items():
        if not len(part.labels):
            raise DataError(f"There is no {name} example")
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


def warnings(parts: Mapping[str, Split], class_names: Sequence[str]) -> tuple[str, ...]:
    """What is no mistake, but makes numbers mean something else; one line each.

    Args:
        parts: Name of each split to it.
        class_names: In the order of the labels.
    """
    lines = [
        f"No {name} example is of {missing}: nothing is measured of that"
        for name, part in parts.items()
        if (missing := _missing(part, class_names))
    ]
    if again := _repeated(parts):
        lines.append(
            f"The same example is in two splits: {'; '.join(again)}. What was learned "
            "by heart counts as known there: remove one of each"
        )
    return tuple(lines)


def unknown(given: Sequence[str]) -> str:
    """What nobody can know of networks that were trained elsewhere, in words.

    Args:
        given: Their names.
    """
    return (
        f"What was trained elsewhere ({', '.join(given)}) may have learned from the "
        "test split, which was drawn here: its accuracy may be too high. splits.csv "
        "says who is in which split; `data.options.splits` takes such a file"
    )


def alike(names: Iterable[str]) -> str:
    """Names that only blanks, case or the way of writing a number tell apart, in words.

    Empty if there are none.
    """
    seen: dict[str | decimal.Decimal, str] = {}
    for name in names:
        first = seen.setdefault(_bare(name), name)
        if first != name:
            return f"{first!r} and {name!r}, different only in blanks, case or writing"
    return ""


def _bare(name):
    bare = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
    return decimal.Decimal(bare) if _NUMBER.fullmatch(bare) else bare


def _missing(part, class_names):
    """The classes without an example, in words."""
    names = [
        class_names[label]
        for label in np.setdiff1d(np.arange(len(class_names)), part.labels)
    ]
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _repeated(parts):
    """How many examples of one split are in another one, too; and the first of them."""
    hashes = {name: _hashes(part.inputs) for name, part in parts.items()}
    said = []
    for one, other in itertools.combinations(parts, 2):
        found = np.flatnonzero(np.isin(hashes[other], hashes[one]))
        if not len(found):
            continue
        twin = np.flatnonzero(hashes[one] == hashes[other][found[0]])[0]
        pair = f"{parts[other].names[found[0]]} is {parts[one].names[twin]}"
        said.append(
            f"{len(found):,} of {len(hashes[other]):,} {other} examples in {one} "
            f"({pair})"
        )
    return said


def _hashes(inputs):
    """A number for each example, the same for the same one: int64, `(n,)`."""
    pieces = (inputs[i : i + AT_ONCE] for i in range(0, len(inputs), AT_ONCE))
    keys = (
        hash(row if isinstance(row, str) else row.tobytes())
        for piece in pieces
        for row in piece
    )
    return np.fromiter(keys, np.int64, len(inputs))
