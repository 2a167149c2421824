"""Tables of numbers with classes, by name, and the splits drawn from them."""

import dataclasses
import os
import pathlib
from typing import ClassVar

import numpy as np

from distill.runtime.errors import DataError
from distill.studies.tabular.rows import Rows, read_csv


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """The base class of tables, which implement `load`.

    Attributes:
        train_rows: Number of training rows, drawn by class; all others are the test
            split. `None` takes half.
        validation_fraction: Share of the training rows, drawn by class, that is the
            validation split, if options are chosen on it.

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
            DataError: If the file is missing, or is no table of numbers.
        """
        raise NotImplementedError

    def split(self, rows: Rows, seed: int, measured_on: str) -> tuple[Rows, Rows]:
        """Draws the training rows and the rows to measure on.

        Args:
            rows: The whole table.
            seed: Decides the draw.
            measured_on: `test`: all training rows and the test split. `validation`:
                the validation split is taken out of the training rows, and the test
                split is not used.

        Raises:
            DataError: If there are too few rows of a class.
        """
        count = len(rows.labels) // 2 if self.train_rows is None else self.train_rows
        train, test = self._draw(rows, count, seed, "train_rows")
        if measured_on == "test":
            return train, test
        # A fraction: scikit-learn takes numbers below 1 as shares.
        share = 1 - self.validation_fraction
        return self._draw(train, share, seed, "validation_fraction")

    def _draw(self, rows, train_size, seed, option):
        from sklearn import model_selection

        try:
            chosen, others = model_selection.train_test_split(
                np.arange(len(rows.labels)),
                train_size=train_size,
                random_state=seed,
                stratify=rows.labels,
            )
        except ValueError as error:
            raise DataError(
                f"`data.options.{option}` = {getattr(self, option)} cannot be drawn "
                f"from {len(rows.labels)} rows: {error}"
            ) from None
        # In the order of the table: only the choice is random.
        return rows.take(np.sort(chosen)), rows.take(np.sort(others))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Csv(Table):
    """A CSV file of numbers with a header and a column of classes.

    Attributes:
        path: Path of the file.
        label: Name of the column that holds the classes, which may be any text. Every
            other column is a feature. Classes are numbered in alphabetical order.
    """

    path: str
    label: str

    def __post_init__(self):
        """Refuses a file that does not exist."""
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
        folder: The folder of `magic04.csv`, which is the file of the UCI repository
            with a header added, whose last column is `class`. `None` looks in the
            folder that the environment variable `DISTILL_DATA` names.

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
                f"{self.file} is not {where}. Put it into a folder, with the names of "
                "the columns in its first line and `class` the last of them, and name "
                "the folder in DISTILL_DATA or `data.options.folder`"
            )
        return read_csv(path, "class")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bundled(Table):
    """A table that comes with scikit-learn."""

    loader: ClassVar[str]

    def load(self):
        """Loads the table from scikit-learn."""
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
