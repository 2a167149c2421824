"""Labelled rows of numbers, and CSV files of them."""

import csv
import dataclasses
import hashlib
import pathlib

import numpy as np

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

    def fingerprint(self) -> str:
        """SHA-256 over all features and labels, in order."""
        sha = hashlib.sha256()
        for array in (self.features, self.labels):
            sha.update(np.ascontiguousarray(array).tobytes())
        return sha.hexdigest()


def read_csv(path: pathlib.Path, label: str) -> Rows:
    """Reads a table of numbers.

    Args:
        path: A CSV file whose first line names the columns.
        label: The column of the classes.

    Raises:
        DataError: In one line, with the line of the file where there is one.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, strict=True)
            header = next(lines, [])
            rows = [(lines.line_num, row) for row in lines if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a CSV file: {error}") from None
    if header.count(label) != 1 or len(header) < 2:
        raise DataError(
            f"{path.name}: the first line must name the column `{label}`, once, and "
            f"another. Received: {', '.join(header)}"
        )
    at = header.index(label)
    features = [_numbers(path.name, header, at, *row) for row in rows]
    classes = sorted({row[at] for _, row in rows})
    if len(classes) < 2:
        raise DataError(
            f"{path.name}: column `{label}` must hold at least 2 classes. "
            f"Received: {', '.join(classes) or 'no rows'}"
        )
    if len(classes) > len(rows) // 4:
        raise DataError(
            f"{path.name}: column `{label}` holds {len(classes)} classes in "
            f"{len(rows)} rows: expected classes, at least 4 rows of each on average"
        )
    number = {name: index for index, name in enumerate(classes)}
    labels = np.array([number[row[at]] for _, row in rows], np.int64)
    return Rows(np.array(features), labels, tuple(classes))


def _numbers(name, header, at, line, row):
    """The features of one row, as numbers."""
    if len(row) != len(header):
        raise DataError(
            f"{name}:{line}: expected {len(header)} values, one a column. "
            f"Received: {len(row)}"
        )
    numbers = []
    for column, text in enumerate(row):
        if column == at:
            continue
        try:
            numbers.append(float(text))
        except ValueError:
            numbers.append(np.nan)
        if not np.isfinite(numbers[-1]):
            raise DataError(
                f"{name}:{line}: column `{header[column]}` must be a finite number. "
                f"Received: {text!r}"
            )
    return numbers
