"""Reads delimited files with a header; errors name the line."""

import csv
import gzip
import pathlib
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from distill.runtime.errors import DataError

# Tab-separated files have no quoting: a quotation mark there belongs to the text.
_DIALECTS: dict[str, dict[str, Any]] = {
    ".csv": {"delimiter": ",", "strict": True},
    ".tsv": {"delimiter": "\t", "quoting": csv.QUOTE_NONE},
}
_GZIP = ".gz"
_LONGEST = 2**31 - 1  # Characters in a field; the default limit of `csv` is 131,072.
_DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}


def is_known(path: pathlib.Path) -> bool:
    """Whether the suffix of a file determines its delimiter."""
    return _suffix(path) in _DIALECTS


def read_labelled(
    path: pathlib.Path, texts: Sequence[str], label: str
) -> Iterator[tuple[int, str, str]]:
    """Yields line number, text and label of each row; see `columns`.

    Args:
        path: The file.
        texts: Possible names of the column of texts; the first in the header is used.
        label: Name of the column of labels.

    Raises:
        DataError: If the file cannot be read, or a text or a label is empty.
    """
    for line, (text, name) in columns(path, (texts, (label,))):
        for what, value in (("text", text), ("label", name)):
            if not value.strip():
                raise line_error(path, line, f"empty {what}")
        yield line, text, name


def columns(
    path: pathlib.Path, column_names: Sequence[Sequence[str]]
) -> Iterator[tuple[int, list[str]]]:
    """Yields line number and some columns of each row.

    Args:
        path: A `.csv` or `.tsv` file in UTF-8 with a header, perhaps with suffix `.gz`.
        column_names: Possible names of each column; the first in the header is used.

    Raises:
        DataError: If the file cannot be read; the message names the line.
    """
    lines = rows(path)
    _, header = next(lines)
    indices = [column_index(path, header, names) for names in column_names]
    for line, row in lines:
        yield line, [row[index] for index in indices]


def column_index(
    path: pathlib.Path, header: Sequence[str], names: Sequence[str]
) -> int:
    """Finds the index of a column.

    Args:
        path: The file, for the message.
        header: Its first row.
        names: Possible names of the column.

    Raises:
        DataError: If there is no such column, or more than one.
    """
    column = next((name for name in names if name in header), None)
    if column is None:
        expected = " or ".join(f"`{name}`" for name in names)
        raise DataError(
            f"{path}:1: the header must name the column {expected}"
            f"{_hint(path, header)}. Received: {', '.join(header)[:200]}"
        )
    if header.count(column) > 1:
        raise DataError(
            f"{path}:1: the header must name the column `{column}` once. "
            f"Received: {', '.join(header)[:200]}"
        )
    return header.index(column)


def rows(path: pathlib.Path) -> Iterator[tuple[int, list[str]]]:
    """Yields line number and fields of each row, beginning with the header.

    All rows have as many fields as the header. The line number of a row with line
    breaks is that of its last line.

    Args:
        path: A file in UTF-8; its suffix determines the delimiter, by default a comma.

    Raises:
        DataError: If the file cannot be read; the message names the line.
    """
    try:
        with gzip.open(path) if path.suffix == _GZIP else path.open("rb") as file:
            yield from _rows(path, file)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def line_error(path: pathlib.Path, line: int, what: object) -> DataError:
    """The error that a line is damaged."""
    return DataError(f"{path}:{line}: {what}: fix or remove the line")


def _rows(path, file):
    csv.field_size_limit(_LONGEST)
    reader = csv.reader(_decode_lines(path, file), **_dialect(path))
    try:
        header = next(reader, [])
        yield reader.line_num, header
        for row in reader:
            if len(row) == len(header):
                yield reader.line_num, row
            elif row:  # An empty line, such as the last one, is skipped.
                problem = f"has {len(row)} fields, the header {len(header)}"
                raise line_error(path, reader.line_num, problem)
    except csv.Error as error:
        raise line_error(path, reader.line_num, error) from None


def _decode_lines(path, file):
    for number, line in enumerate(file, 1):
        try:
            # Excel begins UTF-8 files with a byte order mark.
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise line_error(path, number, "is not in UTF-8") from None
        if "\0" in text:
            raise line_error(path, number, "has a NUL byte in it")
        yield text


def _hint(path, header):
    """The hint that another delimiter is used than the suffix says, for the message."""
    own = _dialect(path)["delimiter"]
    for delimiter, name in _DELIMITERS.items():
        if delimiter != own and len(header) == 1 and delimiter in header[0]:
            return f", set apart by {_DELIMITERS[own]}, not {name}"
    return ""


def _dialect(path):
    return _DIALECTS.get(_suffix(path), _DIALECTS[".csv"])


def _suffix(path):
    return (path.with_suffix("") if path.suffix == _GZIP else path).suffix
