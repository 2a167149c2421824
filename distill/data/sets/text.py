"""Data sets of labelled texts: their base, and a user's own files."""

import dataclasses
import functools
import pathlib
from collections.abc import Iterator
from typing import Annotated, ClassVar

import numpy as np

from distill.data import checks, memmap, tokens
from distill.data.dataset import Dataset
from distill.data.sets import delimited
from distill.data.splits import NAMES, Parts, Split, Splits
from distill.runtime.errors import DataError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text(Dataset):
    """The base of data sets of texts.

    A data set implements `_files`, `_rows` and `_label_names`.

    Attributes:
        tokenizer: Converts a text to ids; see `tokens.TOKENIZERS`. It is fitted to the
            training split only.
    """

    kind: ClassVar[str] = "texts"

    tokenizer: Annotated[tokens.Tokenizer, tokens.TOKENIZERS]

    @property
    def input_shape(self):
        """`(length,)`."""
        return (self.tokenizer.length,)

    @property
    def vocabulary(self):
        """Number of different ids."""
        return self.tokenizer.vocabulary

    def load(self) -> Splits:
        """Reads the set, draws its splits, and converts texts to ids.

        Raises:
            DataError: If the set is missing, damaged or too small for its options.
        """
        splits = super().load()
        tokenizer = self.tokenizer.fit(splits.train.inputs)
        parts = {
            name: dataclasses.replace(
                part, inputs=tokens.encode(tokenizer, part.inputs), texts=part.inputs
            )
            for name, part in splits.by_name().items()
        }
        return dataclasses.replace(splits, **parts, tokenizer=tokenizer)

    def _examples(self):
        files = self._files().items()
        return Parts(**{name: self._split(name, path) for name, path in files})

    def _split(self, name, path):
        label_of = {name: index for index, name in enumerate(self._label_names())}
        texts, labels, names = [], [], []
        for line, text, label in self._rows(path):
            if label not in label_of:
                known = ", ".join(label_of)
                raise DataError(
                    f"{path}:{line}: the label must be one of the training file: "
                    f"{known}. Received: {label!r}"
                )
            texts.append(text)
            labels.append(label_of[label])
            names.append(f"{name}:{line}")
        if not texts:
            raise DataError(f"{path} has no row below its header")
        # As objects: arrays of text would give each one the length of the longest.
        inputs, examples = (np.array(part, object) for part in (texts, names))
        return Split(inputs, np.array(labels, np.int64), examples)

    def _files(self) -> dict[str, pathlib.Path]:
        """Name of each split that the set comes with to its file."""
        raise NotImplementedError

    def _rows(self, path) -> Iterator[tuple[int, str, str]]:
        """Yields line number, text and label of each row of a file."""
        raise NotImplementedError

    def _label_names(self) -> tuple[str, ...]:
        """The labels as written in the files, in the order of the classes."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextFile(Text):
    """A user's own texts: `.csv` or `.tsv` files in UTF-8, with a header line.

    A `.tsv` file has no quoting and no tabs in texts. Files may be compressed (`.gz`).

    Attributes:
        train: The file of training examples.
        validation: The file of validation examples; absent, that split is drawn.
        test: The file of test examples; absent, that split is drawn.
        text_column: Name of the column of texts.
        label_column: Name of the column of labels. Its different values are the names
            of the classes, in numerical order if all are numbers, else sorted as text.
    """

    train: str
    validation: str | None = None
    test: str | None = None
    text_column: str = "text"
    label_column: str = "label"

    def __post_init__(self):
        """Refuses files of unknown type, and one column for both texts and labels."""
        for name, path in self._files().items():
            if not delimited.is_known(path):
                raise ValueError(
                    f"`{name}` must be a .csv or .tsv file, perhaps with the "
                    f"suffix .gz. Received: {path}"
                )
        if self.text_column == self.label_column:
            raise ValueError(
                "`label_column` must be another column than `text_column`. "
                f"Received: {self.label_column}"
            )
        super().__post_init__()

    @property
    def own_splits(self):
        """The splits that have a file."""
        return set(self._files())

    @property
    def num_classes(self):
        """Number of different labels."""
        return len(self.class_names)

    @property
    def class_names(self):
        """The labels of the training file."""
        path = self._files()["train"]
        try:
            stamp = memmap.stamp(path)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error}") from None
        # Cached, since options are checked often. The stamp detects a changed file.
        return _labels(path, stamp, self.text_column, self.label_column)

    def _files(self):
        return {
            name: pathlib.Path(path).expanduser()
            for name in NAMES
            if (path := getattr(self, name)) is not None
        }

    def _rows(self, path):
        return delimited.read_labelled(path, (self.text_column,), self.label_column)

    def _label_names(self):
        return self.class_names


@functools.lru_cache(maxsize=8)
def _labels(path, stamp, text, label):
    """The labels of a file, sorted; `stamp` is a key of the cache only."""
    names = {name for _, _, name in delimited.read_labelled(path, (text,), label)}
    if len(names) < 2:
        raise DataError(
            f"{path}: `{label}` must have at least two different labels. "
            f"Received: {', '.join(names) or 'no row'}"
        )
    if alike := checks.find_alike(sorted(names)):
        raise DataError(f"{path}: labels must be clearly different. Received: {alike}")
    is_numeric = all(name.isdecimal() for name in names)
    return tuple(sorted(names, key=int if is_numeric else None))
