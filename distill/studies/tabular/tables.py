"""Name -> rows of numbers with a class each, and the splits drawn from them."""

import dataclasses
import os
import pathlib
from typing import ClassVar

import numpy as np

from distill.runtime.errors import DataError
from distill.studies.tabular.rows import Rows, read_csv


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """What all tables share. A table has `load`.

    Attributes:
        train_rows: Rows to learn from, drawn by class; all others are the test
            split. `None` takes half.
        validation_fraction: Share of the training rows that is set aside, drawn
            by class, where options are chosen on the validation split.

    Raises:
        ValueError: If an option is out of its range.
    """

    train_rows: int | None = None
    validation_fraction: float = 0.2

    def __post_init__(self):
        """Refuses splits that cannot be drawn."""
        if self.train_rows is not None and self.train_rows < 4:
            raise ValueError(
                f"`train_rows` must be at least 4. Received: {self.train_rows}"
            )
        if not 0 < self.validation_fraction < 1:
            raise ValueError(
                "`validation_fraction` must be between 0 and 1. "
                f"Received: {self.validation_fraction}"
            )

    def load(self) -> Rows:
        """Reads the whole table.

        Raises:
            DataError: If it is not there, or is no table of numbers.
        """
        raise NotImplementedError

    def split(self, rows: Rows, seed: int, measured_on: str) -> tuple[Rows, Rows]:
        """Draws the rows to learn from, and those to measure on.

        Args:
            rows: The whole table.
            seed: Decides who goes where.
            measured_on: `test`: all training rows, and the test split. Or
                `validation`: the training rows without those set aside, and
                these; of the test split nothing is seen.

        Raises:
            DataError: If there are too few rows of a class.
        """
        wanted = len(rows.labels) // 2 if self.train_rows is None else self.train_rows
        train, test = self._draw(rows, wanted, seed, "train_rows")
        if measured_on == "test":
            return train, test
        kept = 1 - self.validation_fraction
        return self._draw(train, kept, seed, "validation_fraction")

    def _draw(self, rows, wanted, seed, option):
        from sklearn import model_selection

        try:
            drawn, others = model_selection.train_test_split(
                np.arange(len(rows.labels)),
                train_size=wanted,
                random_state=seed,
                stratify=rows.labels,
            )
        except ValueError as error:
            raise DataError(
                f"`data.options.{option}` = {getattr(self, option)} cannot be drawn "
                f"from {len(rows.labels)} rows: {error}"
            ) from None
        return rows.take(np.sort(drawn)), rows.take(np.sort(others))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Csv(Table):
    """Any file of comma-separated numbers with a header and a column of classes.

    Attributes:
        path: The file.
        label: Name of the column that holds the classes; any text. Every other
            column is a feature. Classes are numbered in alphabetical order.
    """

    path: str
    label: str

    def __post_init__(self):
        """Refuses a file that is not there."""
        super().__post_init__()
        if not pathlib.Path(self.path).expanduser().is_file():
            raise ValueError(
                f"`path` must be a file that exists. Received: {self.path}"
            )

    def load(self):
        """Reads the file."""
        return read_csv(pathlib.Path(self.path).expanduser(), self.label)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Magic(Table):
    """MAGIC gamma telescope: 19,020 rows of 10 numbers; gamma or hadron.

    Attributes:
        folder: Holds `magic04.csv`, the set of the UCI repository under a
            header whose last column is `class`. `None` looks in the folder that
            the environment variable `DISTILL_DATA` names.

    Source:
        Bock et al., "Methods for multidimensional event classification", 2004;
        https://archive.ics.uci.edu/dataset/159 (CC BY 4.0).
    """

    file: ClassVar[str] = "magic04.csv"

    folder: str | None = None
    train_rows: int | None = 10_000

    def load(self):
        """Reads the file."""
        folder = self.folder or os.environ.get("DISTILL_DATA")
        path = pathlib.Path(folder or "").expanduser() / self.file
        if not folder or not path.is_file():
            where = f"in {folder}" if folder else "here: no folder is named"
            raise DataError(
                f"{self.file} is not {where}. Put it into a folder, the columns' "
                "names in its first line and `class` last of them, and name the "
                "folder in DISTILL_DATA or `data.options.folder`"
            )
        return read_csv(path, "class")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bundled(Table):
    """A table that comes with scikit-learn."""

    loader: ClassVar[str]

    def load(self):
        """Asks scikit-learn."""
        from sklearn import datasets

        table = getattr(datasets, self.loader)()
        names = tuple(str(name) for name in table.target_names)
        return Rows(table.data.astype(float), table.target.astype(np.int64), names)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BreastCancer(Bundled):
    """Breast cancer Wisconsin: 569 rows of 30 numbers; malignant or benign."""

    loader = "load_breast_cancer"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wine(Bundled):
    """Wines of three growers: 178 rows of 13 numbers."""

    loader = "load_wine"


TABLES = {"magic": Magic, "csv": Csv, "breast_cancer": BreastCancer, "wine": Wine}
