"""Labelled rows of numbers, and CSV files of them."""

import dataclasses
import hashlib
import pathlib

import numpy as np

from distill.data import checks
from distill.data.sets import delimited
from distill.runtime.errors import DataError


@dataclasses.dataclass(frozen=True)
class Rows:
    """Labelled rows of a table.

    Attributes:
        features: float64, `(n, features)`.
        labels: int64, `(n,)`, from 0.
        class_names: One for each label.
    """

    features: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]

    def take(self, chosen: np.ndarray) -> "Rows":
        """The rows of these indices, in their order."""
        return Rows(self.features[chosen], self.labels[chosen], self.class_names)

    def warnings(self) -> list[str]:
        """What a reader of numbers should know of them, one line each."""
        count = len(self.features)
        repeated = count - len(np.unique(self.features, axis=0))
        if not repeated:
            return []
        return [
            f"{repeated:,} of {count:,} rows are the same as another: some will be "
            "among those to learn from and among those to measure on"
        ]

    def fingerprint(self) -> str:
        """SHA-256 over all features and labels, in order."""
        sha = hashlib.sha256()
        for array in (self.features, self.labels):
            sha.update(np.ascontiguousarray(array).tobytes())
        return sha.hexdigest()


def read_csv(path: pathlib.Path, label: str) -> Rows:
    """Reads a table of numbers.

    Args:
        path: A CSV file whose first line names the columns; see `delimited.rows`.
        label: The column of the classes.

    Raises:
        DataError: In one line, with the line of the file where there is one.
    """
    every = delimited.rows(path)
    _, header = next(every)
    at = delimited.place(path, header, (label,))
    _check_columns(path, header, label)
    features, given = [], []
    for line, row in every:
        if not row[at].strip():
            raise delimited.damaged(path, line, "empty label")
        given.append(row[at])
        features.append(_numbers(path, header, at, line, row))
    classes = sorted(set(given))
    _check_classes(path, label, classes, len(given))
    number = {name: index for index, name in enumerate(classes)}
    labels = np.array([number[name] for name in given], np.int64)
    return Rows(np.array(features), labels, tuple(classes))


def _check_columns(path, header, label):
    """Refuses columns that cannot be told apart, and none beside the label."""
    if len(header) < 2:
        raise DataError(
            f"{path}:1: the header must name the column `{label}` and another. "
            f"Received: {', '.join(header)}"
        )
    for name in header:
        if not name.strip() or header.count(name) > 1:
            raise DataError(
                f"{path}:1: the header must name each column once, an index not at "
                f"all. Received: {', '.join(header)[:200]}"
            )


def _check_classes(path, label, classes, rows):
    """Refuses what is no column of classes."""
    where = f"{path}: column `{label}`"
    if len(classes) < 2:
        raise DataError(
            f"{where} must hold at least 2 classes. "
            f"Received: {', '.join(classes) or 'no rows'}"
        )
    if alike := checks.alike(classes):
        raise DataError(f"{where}: one class, one label: {alike}")
    if len(classes) > rows // 4:
        raise DataError(
            f"{where} holds {len(classes)} classes in {rows} rows: expected classes, "
            "at least 4 rows of each on average"
        )


def _numbers(path, header, at, line, row):
    """The features of one row, as numbers."""
    numbers = []
    for column, text in enumerate(row):
        if column == at:
            continue
        try:
            # Python would read 1_000, which no other program writes.
            numbers.append(np.nan if "_" in text else float(text))
        except ValueError:
            numbers.append(np.nan)
        if not np.isfinite(numbers[-1]):
            raise DataError(
                f"{path}:{line}: column `{header[column]}` must be a finite number. "
                f"Received: {text!r}"
            )
    return numbers
