"""Labelled rows of numbers, and reading them from CSV files."""

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
        class_names: The name of each label.
    """

    features: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]

    def take(self, chosen: np.ndarray) -> "Rows":
        """The rows at these indices, in their order."""
        return Rows(self.features[chosen], self.labels[chosen], self.class_names)

    def warnings(self) -> list[str]:
        """Describes what may bias the numbers measured on these rows, line by line."""
        count = len(self.features)
        # Labels are left out: copies with two labels bias the numbers, too.
        repeated = count - len(np.unique(self.features, axis=0))
        if not repeated:
            return []
        return [
            f"{repeated:,} of {count:,} rows are copies of another: some will be both "
            "in training and among the rows to measure on"
        ]

    def fingerprint(self) -> str:
        """SHA-256 over all features and labels, in order."""
        sha = hashlib.sha256()
        # `tobytes` needs the same order of memory for equal arrays.
        for array in (self.features, self.labels):
            sha.update(np.ascontiguousarray(array).tobytes())
        return sha.hexdigest()


def read_csv(path: pathlib.Path, label: str) -> Rows:
    """Reads a table of numbers.

    Args:
        path: A CSV file whose first line names the columns; see `delimited.rows`.
        label: Name of the column with the classes.

    Raises:
        DataError: If the file is no such table; the message names the line if it can.
    """
    lines = delimited.rows(path)
    _, header = next(lines)
    column = delimited.column_index(path, header, (label,))
    _check_columns(path, header, label)
    features, names = [], []
    for line, row in lines:
        if not row[column].strip():
            raise delimited.line_error(path, line, "empty label")
        names.append(row[column])
        features.append(_parse_features(path, header, column, line, row))
    classes = sorted(set(names))
    _check_classes(path, label, classes, len(names))
    index = {name: position for position, name in enumerate(classes)}
    labels = np.array([index[name] for name in names], np.int64)
    return Rows(np.array(features), labels, tuple(classes))


def _check_columns(path, header, label):
    """Refuses empty and repeated names of columns, and a table without features."""
    if len(header) < 2:
        raise DataError(
            f"{path}:1: the header must name the column `{label}` and another. "
            f"Received: {', '.join(header)}"
        )
    for name in header:
        if not name.strip() or header.count(name) > 1:
            raise DataError(
                f"{path}:1: the header must give each column its own name, and an "
                f"index column must be removed. Received: {', '.join(header)[:200]}"
            )


def _check_classes(path, label, classes, rows):
    """Refuses a column that does not hold classes."""
    where = f"{path}: column `{label}`"
    if len(classes) < 2:
        raise DataError(
            f"{where} must hold at least 2 classes. "
            f"Received: {', '.join(classes) or 'no rows'}"
        )
    if alike := checks.find_alike(classes):
        raise DataError(f"{where}: one class, one label: {alike}")
    if len(classes) > rows // 4:
        raise DataError(
            f"{where} must hold classes with at least 4 rows each on average. "
            f"Received: {len(classes)} classes in {rows} rows"
        )


def _parse_features(path, header, label_column, line, row):
    """The features of one row, as numbers."""
    numbers = []
    for column, text in enumerate(row):
        if column == label_column:
            continue
        try:
            # `float` accepts 1_000, which no other program writes: it is a typo.
            numbers.append(np.nan if "_" in text else float(text))
        except ValueError:
            numbers.append(np.nan)
        if not np.isfinite(numbers[-1]):
            raise DataError(
                f"{path}:{line}: column `{header[column]}` must be a finite number. "
                f"Received: {text!r}"
            )
    return numbers
