"""Files with a text and its label a row, or the line of them that is damaged."""

import csv
import gzip
import pathlib
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from distill.runtime.errors import DataError

# Tab-separated files quote nothing: a quotation mark there is one of the text.
_FORMS: dict[str, dict[str, Any]] = {
    ".csv": {"delimiter": ",", "strict": True},
    ".tsv": {"delimiter": "\t", "quoting": csv.QUOTE_NONE},
}
_PACKED = ".gz"


def is_known(path: pathlib.Path) -> bool:
    """Whether a file's name says how its fields are set apart."""
    return _form(path) in _FORMS


def rows(
    path: pathlib.Path, texts: Sequence[str], label: str
) -> Iterator[tuple[str, str]]:
    """Text and label of each row.

    Args:
        path: In UTF-8, with a header line: `.csv` or `.tsv`, perhaps with `.gz` behind.
        texts: Names that the column of texts may have; the first in the header counts.
        label: Name of the column of labels.

    Raises:
        DataError: If the file cannot be read; names the line.
    """
    try:
        with gzip.open(path) if path.suffix == _PACKED else path.open("rb") as file:
            yield from _rows(path, file, texts, label)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def _rows(path, file, texts, label):
    reader = csv.reader(_decoded(path, file), **_FORMS[_form(path)])
    try:
        header = next(reader, [])
        text_at, label_at = _columns(path, header, texts, label)
        for row in reader:
            if len(row) == len(header):
                yield row[text_at], row[label_at]
            elif row:  # Else an empty line, such as the last.
                said = f"has {len(row)} fields, the header {len(header)}"
                raise _damaged(path, reader.line_num, said)
    except csv.Error as error:
        raise _damaged(path, reader.line_num, error) from None


def _columns(path, header, texts, label):
    """Where in a row the text stands, and the label."""
    found = next((name for name in texts if name in header), None)
    if found is None or label not in header:
        wanted = " or ".join(f"`{name}`" for name in texts)
        raise DataError(
            f"{path}:1: the header must name the columns {wanted} and `{label}`. "
            f"Received: {', '.join(header)[:200]}"
        )
    return header.index(found), header.index(label)


def _decoded(path, file):
    for number, line in enumerate(file, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise _damaged(path, number, "is not in UTF-8") from None


def _damaged(path, line, what):
    return DataError(f"{path}:{line}: {what}: mend or remove the line")


def _form(path):
    return (path.with_suffix("") if path.suffix == _PACKED else path).suffix
