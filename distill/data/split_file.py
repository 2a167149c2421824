"""The file that lists the examples of each split, for people and later runs."""

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
    """The content of the file: split and name of each example, one example a line."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("split", "example"))
    for split, part in splits.by_name().items():
        writer.writerows((split, name) for name in part.names)
    # File names, which are names of examples, need not be valid UTF-8.
    return stream.getvalue().encode(errors="surrogateescape")


def is_of(folder: pathlib.Path, splits: Splits) -> bool:
    """Whether the run in a folder has the same splits."""
    file = folder / FILE
    return file.is_file() and file.read_bytes() == content(splits)


def assign(path: pathlib.Path, parts: Parts) -> Parts:
    """Assigns the examples of a data set to the splits that a file lists.

    Args:
        path: The file.
        parts: All examples of the data set, in its own splits.

    Returns:
        The examples in the splits of the file, without those that it does not list.

    Raises:
        DataError: If the file is damaged, lists an example twice or an unknown one, or
            has no training example.
    """
    positions = {
        name: (source, index)
        for source, part in parts.by_name().items()
        for index, name in enumerate(part.names)
    }
    chosen: dict[str, list[tuple[str, int]]] = {name: [] for name in NAMES}
    for line, (split, example) in delimited.columns(path, (("split",), ("example",))):
        where = f"{path}:{line}"
        if split not in chosen:
            expected = f"`split` must be one of {', '.join(NAMES)}"
            raise DataError(f"{where}: {expected}. Received: {split!r}")
        if example not in positions:
            raise DataError(
                f"{where}: `example` must be in the data set and on no earlier line, "
                f"such as {next(iter(positions), 'none')}. Received: {example!r}"
            )
        chosen[split].append(positions.pop(example))
    if not chosen["train"]:
        raise DataError(f"{path} must name training examples. Received: none")
    if positions:
        progress.say(
            f"    left out {len(positions):,} examples that {path} does not list"
        )
    assigned = {split: _gather(parts, rows) for split, rows in chosen.items()}
    return Parts(**assigned)


def _gather(parts, positions):
    """The examples at some positions, in the order of the set; None if empty."""
    pieces = []
    for source, part in parts.by_name().items():
        rows = np.array(
            sorted(row for name, row in positions if name == source), np.int64
        )
        if len(rows):
            pieces.append(part.take(rows))
    if len(pieces) < 2:
        return pieces[0] if pieces else None
    # From several splits of the set: rows of different files cannot stay on disk.
    inputs = np.concatenate([piece.inputs[:] for piece in pieces])
    labels = np.concatenate([piece.labels for piece in pieces])
    return Split(inputs, labels, np.concatenate([piece.names for piece in pieces]))
