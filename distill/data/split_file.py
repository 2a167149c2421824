"""Who is in which split, as a file that people and later runs can read."""

import csv
import io
import pathlib

import numpy as np

from distill.data.sets import delimited
from distill.data.splits import NAMES, Parts, Split, Splits
from distill.runtime import progress
from distill.runtime.errors import DataError

FILE = "splits.csv"  # In the folder of a run.


def content(splits: Splits) -> bytes:
    """The file: a line for each example, with its split and its name in the set."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("split", "example"))
    for split, part in splits.named().items():
        writer.writerows((split, name) for name in part.names)
    # File names need not be in UTF-8.
    return stream.getvalue().encode(errors="surrogateescape")


def is_of(folder: pathlib.Path, splits: Splits) -> bool:
    """Whether these are the splits of the run in a folder."""
    file = folder / FILE
    return file.is_file() and file.read_bytes() == content(splits)


def dealt(path: pathlib.Path, parts: Parts) -> Parts:
    """The examples of a set, dealt as a file says.

    Args:
        path: The file.
        parts: All examples of the set, in whatever splits it has.

    Returns:
        The same, in the splits of the file; who is not in it is left out.

    Raises:
        DataError: If the file is damaged, names an example twice or one that is not
            there, or has no training example.
    """
    place = {
        name: (source, index)
        for source, part in parts.named().items()
        for index, name in enumerate(part.names)
    }
    chosen: dict[str, list[tuple[str, int]]] = {name: [] for name in NAMES}
    for line, (split, example) in delimited.columns(path, (("split",), ("example",))):
        where = f"{path}:{line}"
        if split not in chosen:
            expected = f"`split` must be one of {', '.join(NAMES)}"
            raise DataError(f"{where}: {expected}. Received: {split!r}")
        if example not in place:
            raise DataError(
                f"{where}: `example` must be one of the set that no line before has "
                f"named, such as {next(iter(place), 'none')}. Received: {example!r}"
            )
        chosen[split].append(place.pop(example))
    if not chosen["train"]:
        raise DataError(f"{path} must name training examples. Received: none")
    if place:
        progress.say(f"    left out {len(place):,} examples that {path} does not name")
    made = {split: _gathered(parts, places) for split, places in chosen.items()}
    return Parts(**made)


def _gathered(parts, places):
    """The examples at some places, in the order of the set; None if there are none."""
    pieces = []
    for source, part in parts.named().items():
        rows = np.array(sorted(row for name, row in places if name == source), np.int64)
        if len(rows):
            pieces.append(part.take(rows))
    if len(pieces) < 2:
        return pieces[0] if pieces else None
    # Of several files: these are read into memory.
    inputs = np.concatenate([piece.inputs[:] for piece in pieces])
    labels = np.concatenate([piece.labels for piece in pieces])
    return Split(inputs, labels, np.concatenate([piece.names for piece in pieces]))
