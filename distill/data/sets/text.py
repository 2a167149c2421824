"""Sets of labelled texts: a file of one's own, IMDB, SST-2."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterator
from typing import Annotated, ClassVar

import numpy as np

from distill.data import tokens
from distill.data.dataset import Dataset, Split, Splits
from distill.data.sets import delimited
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
        parts = (
            Split(tokens.ids(tokenizer, split.inputs), split.labels)
            for split in (drawn.train, drawn.validation, drawn.test)
        )
        return Splits(*parts, tokenizer)

    def _examples(self):
        train, test = self._files()
        return self._split(train), None if test is None else self._split(test)

    def _split(self, path):
        label_of = {name: index for index, name in enumerate(self._label_names())}
        texts, labels = [], []
        for text, label in self._rows(path):
            if label not in label_of:
                known = ", ".join(label_of)
                raise DataError(
                    f"{path}: labels must be those of the training file: {known}. "
                    f"Received: {label!r}"
                )
            texts.append(text)
            labels.append(label_of[label])
        if not texts:
            raise DataError(f"{path} has no row below its header")
        return Split(np.array(texts, object), np.array(labels, np.int64))

    def _files(self) -> tuple[pathlib.Path, pathlib.Path | None]:
        """The training file, and the test file if there is one."""
        raise NotImplementedError

    def _rows(self, path) -> Iterator[tuple[str, str]]:
        """Text and label of each row of a file."""
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
        test: The file of test examples; without it, a test split is drawn.
        text_column: Name of the column of texts.
        label_column: Name of the column of labels. What stands there names the
            classes, which are in the order of numbers or of words.
    """

    train: str
    test: str | None = None
    text_column: str = "text"
    label_column: str = "label"

    def __post_init__(self):
        """Refuses files whose form is unknown."""
        for name in ("train", "test"):
            path = getattr(self, name)
            if path is not None and not delimited.is_known(pathlib.Path(path)):
                raise ValueError(
                    f"`{name}` must be a .csv or .tsv file, or such a file with .gz "
                    f"behind. Received: {path}"
                )
        super().__post_init__()

    @property
    def draws_test(self):
        """Where there is no test file."""
        return self.test is None

    @property
    def num_classes(self):
        """Number of different labels."""
        return len(self.class_names)

    @property
    def class_names(self):
        """The labels of the training file."""
        return _labels(self._files()[0], self.text_column, self.label_column)

    def _files(self):
        paths = (
            None if path is None else pathlib.Path(path).expanduser()
            for path in (self.train, self.test)
        )
        return tuple(paths)

    def _rows(self, path):
        return delimited.rows(path, (self.text_column,), self.label_column)

    def _label_names(self):
        return self.class_names


@functools.lru_cache(maxsize=8)
def _labels(path, text, label):
    """The labels of a file, sorted; whole numbers by their size."""
    found = {name for _, name in delimited.rows(path, (text,), label)}
    if len(found) < 2:
        raise DataError(
            f"{path}: `{label}` must have at least two different labels. "
            f"Received: {', '.join(found) or 'no row'}"
        )
    by_size = all(name.isdecimal() for name in found)
    return tuple(sorted(found, key=int if by_size else None))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sentiment(Text):
    """A published set of negative and positive texts, in a folder of its name.

    Attributes:
        folder: What the set's own folder lies in. `None` means the folder that the
            environment variable `DISTILL_DATA` names.
    """

    name: ClassVar[str]
    files: ClassVar[tuple[str, str]]  # Of training and of test examples.
    text_columns: ClassVar[tuple[str, ...]]

    draws_test = False
    num_classes = 2
    class_names = ("negative", "positive")

    folder: str | None = None

    def __post_init__(self):
        """Refuses a folder without the files."""
        super().__post_init__()
        if self.folder is not None and not self._is_in(self.folder):
            raise ValueError(
                f"`folder` must hold {self._wanted()}. Received: {self.folder}"
            )

    def _files(self):
        folder = self.folder or os.environ.get("DISTILL_DATA")
        if not folder or not self._is_in(folder):
            raise DataError(
                f"{self.name} is not on this machine. Put {self._wanted()} (columns "
                f"label, 0 or 1, and {self.text_columns[0]}, with a header line) into "
                "a folder and name it in DISTILL_DATA or `data.options.folder`"
            )
        return self._paths(folder)

    def _paths(self, folder):
        home = pathlib.Path(folder).expanduser() / self.name
        return tuple(home / file for file in self.files)

    def _is_in(self, folder):
        return all(path.is_file() for path in self._paths(folder))

    def _wanted(self):
        return " and ".join(f"{self.name}/{file}" for file in self.files)

    def _rows(self, path):
        return delimited.rows(path, self.text_columns, "label")

    def _label_names(self):
        return ("0", "1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Imdb(Sentiment):
    """Reviews of films, of some hundred words each.

    Source:
        Maas et al., "Learning Word Vectors for Sentiment Analysis", ACL 2011.
    """

    name = "imdb"
    files = ("train.csv", "test.csv")
    text_columns = ("text",)

    tokenizer: Annotated[tokens.Tokenizer, tokens.TOKENIZERS] = tokens.WordPieces(
        length=256
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sst2(Sentiment):
    """Stanford's sentiment treebank: 67,349 phrases; the test split is GLUE's dev file.

    GLUE's test file has no labels. Training phrases overlap, being parts of the same
    sentences: accuracy on the validation split is therefore too high.

    Source:
        Socher et al., "Recursive Deep Models for Semantic Compositionality Over a
        Sentiment Treebank", EMNLP 2013; files as in GLUE.
    """

    name = "sst2"
    files = ("train.tsv", "dev.tsv")
    text_columns = ("sentence", "content")

    tokenizer: Annotated[tokens.Tokenizer, tokens.TOKENIZERS] = tokens.WordPieces(
        length=64
    )
