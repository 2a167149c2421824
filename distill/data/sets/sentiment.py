"""Published data sets of negative and positive texts: IMDB, SST-2."""

import dataclasses
import os
import pathlib
from typing import Annotated, ClassVar

from distill.data import tokens
from distill.data.sets import delimited
from distill.data.sets.text import Text
from distill.runtime.errors import DataError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sentiment(Text):
    """A published data set of negative and positive texts, in a folder of its name.

    Attributes:
        folder: The folder that contains the folder of the data set. `None` means the
            folder that the environment variable `DISTILL_DATA` names.
    """

    name: ClassVar[str]
    files: ClassVar[tuple[str, str]]  # The files of training and of test examples.
    text_columns: ClassVar[tuple[str, ...]]

    own_splits = frozenset({"train", "test"})
    num_classes = 2
    class_names = ("negative", "positive")

    folder: str | None = None

    def __post_init__(self):
        """Refuses a folder without the files."""
        super().__post_init__()
        if self.folder is not None and not self._exists_in(self.folder):
            raise ValueError(
                f"`folder` must hold {self._file_names()}. Received: {self.folder}"
            )

    def _files(self):
        folder = self.folder or os.environ.get("DISTILL_DATA")
        if not folder or not self._exists_in(folder):
            raise DataError(
                f"{self.name} is not on this machine. Put {self._file_names()} "
                f"(columns label, 0 or 1, and {self.text_columns[0]}, with a header "
                "line) into a folder and name it in DISTILL_DATA or "
                "`data.options.folder`"
            )
        return dict(zip(("train", "test"), self._paths(folder), strict=True))

    def _paths(self, folder):
        home = pathlib.Path(folder).expanduser() / self.name
        return [home / file for file in self.files]

    def _exists_in(self, folder):
        return all(path.is_file() for path in self._paths(folder))

    def _file_names(self):
        return " and ".join(f"{self.name}/{file}" for file in self.files)

    def _rows(self, path):
        return delimited.read_labelled(path, self.text_columns, "label")

    def _label_names(self):
        return ("0", "1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Imdb(Sentiment):
    """IMDB: film reviews of a few hundred words each.

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
    """SST-2: 67,349 phrases of film reviews; the test split is GLUE's dev file.

    GLUE's test file has no labels. Training phrases overlap, since they are parts of
    the same sentences: accuracy on the validation split is therefore too high.

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
