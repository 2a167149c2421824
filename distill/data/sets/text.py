"""Sets of labelled texts, and one in a file of one's own."""

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
    """What all sets of texts share. A set has `_files` and the names of columns.

    Attributes:
        tokenizer: How a text becomes ids; see `tokens.TOKENIZERS`. It learns from
            the training split alone.
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
        """Reads the set, draws its splits, and turns texts into ids.

        Raises:
            DataError: If the set is not there, damaged, or too small for its options.
        """
        drawn = super().load()
        tokenizer = self.tokenizer.fitted(drawn.train.inputs)
        parts = {
            name: dataclasses.replace(part, inputs=tokens.ids(tokenizer, part.inputs))
            for name, part in drawn.named().items()
        }
        return dataclasses.replace(drawn, **parts, tokenizer=tokenizer)

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
        inputs, given = (np.array(part, object) for part in (texts, names))
        return Split(inputs, np.array(labels, np.int64), given)

    def _files(self) -> dict[str, pathlib.Path]:
        """Name of each split that the set has to its file."""
        raise NotImplementedError

    def _rows(self, path) -> Iterator[tuple[int, str, str]]:
        """Line, text and label of each row of a file."""
        raise NotImplementedError

    def _label_names(self) -> tuple[str, ...]:
        """The labels as they stand in the files, in the order of the classes."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextFile(Text):
    """Texts of one's own: `.csv` or `.tsv` in UTF-8, with a header line.

    A `.tsv` file has neither quotes nor tabs inside a text. `.gz` may stand behind.

    Attributes:
        train: The file of training examples.
        validation: The file of validation examples; without it, they are drawn.
        test: The file of test examples; without it, a test split is drawn.
        text_column: Name of the column of texts.
        label_column: Name of the column of labels. What stands there names the
            classes, which are in the order of numbers or of words.
    """

    train: str
    validation: str | None = None
    test: str | None = None
    text_column: str = "text"
    label_column: str = "label"

    def __post_init__(self):
        """Refuses files whose form is unknown."""
        for name, path in self._files().items():
            if not delimited.is_known(path):
                raise ValueError(
                    f"`{name}` must be a .csv or .tsv file, or such a file with .gz "
                    f"behind. Received: {path}"
                )
        if self.text_column == self.label_column:
            raise ValueError(
                "`label_column` must be another column than `text_column`. "
                f"Received: {self.label_column}"
            )
        super().__post_init__()

    @property
    def own_splits(self):
        """Those that have a file."""
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
        return _labels(path, stamp, self.text_column, self.label_column)

    def _files(self):
        return {
            name: pathlib.Path(path).expanduser()
            for name in NAMES
            if (path := getattr(self, name)) is not None
        }

    def _rows(self, path):
        return delimited.labelled(path, (self.text_column,), self.label_column)

    def _label_names(self):
        return self.class_names


@functools.lru_cache(maxsize=8)
def _labels(path, stamp, text, label):
    """The labels of a file with that stamp, sorted; whole numbers by their size."""
    found = {name for _, _, name in delimited.labelled(path, (text,), label)}
    if len(found) < 2:
        raise DataError(
            f"{path}: `{label}` must have at least two different labels. "
            f"Received: {', '.join(found) or 'no row'}"
        )
    if alike := checks.alike(sorted(found)):
        raise DataError(f"{path}: one class, one label: {alike}")
    by_size = all(name.isdecimal() for name in found)
    return tuple(sorted(found, key=int if by_size else None))
