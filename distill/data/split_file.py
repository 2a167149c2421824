"""The file that lists the examples of each split, for people and later runs."""

import csv
import io
import pathlib

import numpy as np

from distill.data.sets import delimited
from distill.data.splits import NAMES, Parts, Split, Splits, floats
from distill.runtime import progress
from distill.runtime.errors import DataError

FILE = "splits.csv"  # In the folder of a run.
_REST = "unlabelled"  # Neither training, validation nor test example.


def content(splits: Splits) -> bytes:
    """The content of the file: split and name of each example, one example a line."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("split", "example"))
    for split, part in splits.with_unlabelled().items():
        writer.writerows((split, name) for name in part.names)
    # File names, which are names of examples, need not be valid UTF-8.
    return stream.getvalue().encode(errors="surrogateescape")


def is_of(folder: pathlib.Path, splits: Splits) -> bool:
    """Whether the run in a folder has the same splits."""
    file = folder / FILE
    return file.is_file() and file.read_bytes() == content(splits)


def assign(path: pathlib.Path, parts: Parts, *, unlabelled: bool = False) -> Parts:
    """Assigns the examples of a data set to the splits that a file lists.

    Args:
        path: The file.
        parts: All examples of the data set, in its own splits.
        unlabelled: Whether examples that the file lists as unlabelled are used; else
            these lines are ignored.

    Returns:
        The examples in the splits of the file, without those that it does not list.
        If it lists no unlabelled ones, all that there are stay.

    Raises:
        DataError: If the file is damaged, lists an example twice or an unknown one, or
            has no training example.
    """
    positions = {
        name: (source, index)
        for source, part in _sources(parts).items()
        for index, name in enumerate(part.names)
    }
    chosen: dict[str, list[tuple[str, int]]] = {name: [] for name in (*NAMES, _REST)}
    for line, (split, example) in delimited.columns(path, (("split",), ("example",))):
        if split == _REST and not unlabelled:
            continue
        _check_line(f"{path}:{line}", split, example, positions)
        chosen[split].append(positions.pop(example))
    if not chosen["train"]:
        raise DataError(f"{path} must name training examples. Received: none")
    if not chosen[_REST] and parts.unlabelled is not None:
        chosen[_REST] = [place for place in positions.values() if place[0] == _REST]
        positions = {n: place for n, place in positions.items() if place[0] != _REST}
    if positions:
        progress.say(
            f"    left out {len(positions):,} examples that {path} does not list"
        )
    assigned = {split: _gather(parts, rows) for split, rows in chosen.items()}
    rest = assigned[_REST]
    return Parts(**assigned | {_REST: rest and rest.without_labels()})


def _check_line(where, split, example, positions):
    if split not in (*NAMES, _REST):
        expected = f"`split` must be one of {', '.join((*NAMES, _REST))}"
        raise DataError(f"{where}: {expected}. Received: {split!r}")
    if example not in positions:
        raise DataError(
            f"{where}: `example` must be in the data set and on no earlier line, "
            f"such as {next(iter(positions), 'none')}. Received: {example!r}"
        )
    if split != _REST and positions[example][0] == _REST:
        raise DataError(
            f"{where}: `split` must be {_REST} for an example without a label. "
            f"Received: {split!r}"
        )


def _sources(parts):
    further = {} if parts.unlabelled is None else {_REST: parts.unlabelled}
    return parts.by_name() | further


def _gather(parts, positions):
    """The examples at some positions, in the order of the set; None if empty."""
    pieces = []
    for source, part in _sources(parts).items():
        rows = np.array(
            sorted(row for name, row in positions if name == source), np.int64
        )
        if len(rows):
            pieces.append(part.take(rows))
    if len(pieces) < 2:
        return pieces[0] if pieces else None
    # From several splits of the set: rows of different files cannot stay on disk.
    inputs = [piece.inputs[:] for piece in pieces]
    if len({part.dtype for part in inputs}) > 1:  # Bytes beside numbers from 0 to 1.
        inputs = [floats(part) for part in inputs]
    labels = np.concatenate([piece.labels for piece in pieces])
    return Split(
        np.concatenate(inputs),
        labels,
        np.concatenate([piece.names for piece in pieces]),
    )
