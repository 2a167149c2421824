"""Files of fields with a header line, or the line of them that is damaged."""

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
_LONGEST = 2**31 - 1  # Characters of a field; Python's own limit is 131,072.
_SIGNS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}


def is_known(path: pathlib.Path) -> bool:
    """Whether a file's name says how its fields are set apart."""
    return _ending(path) in _FORMS


def labelled(
    path: pathlib.Path, texts: Sequence[str], label: str
) -> Iterator[tuple[int, str, str]]:
    """Line, text and label of each row; see `columns`.

    Args:
        path: The file.
        texts: Names that the column of texts may have; the first in the header counts.
        label: Name of the column of labels.

    Raises:
        DataError: If the file cannot be read, or a text or a label is empty.
    """
    for line, (text, name) in columns(path, (texts, (label,))):
        for what, value in (("text", text), ("label", name)):
            if not value.strip():
                raise damaged(path, line, f"empty {what}")
        yield line, text, name


def columns(
    path: pathlib.Path, wanted: Sequence[Sequence[str]]
) -> Iterator[tuple[int, list[str]]]:
    """Line and fields of each row, of some columns.

    Args:
        path: In UTF-8, with a header line: `.csv` or `.tsv`, perhaps with `.gz` behind.
        wanted: Names that each column may have; the first in the header counts.

    Raises:
        DataError: If the file cannot be read; names the line.
    """
    every = rows(path)
    _, header = next(every)
    places = [place(path, header, names) for names in wanted]
    for line, row in every:
        yield line, [row[at] for at in places]


def place(path: pathlib.Path, header: Sequence[str], names: Sequence[str]) -> int:
    """Where in a row a column stands.

    Args:
        path: The file, for the message.
        header: Its first row.
        names: That the column may have.

    Raises:
        DataError: If there is none, or more than one.
    """
    found = next((name for name in names if name in header), None)
    if found is None:
        wanted = " or ".join(f"`{name}`" for name in names)
        raise DataError(
            f"{path}:1: the header must name the column {wanted}{_hint(path, header)}. "
            f"Received: {', '.join(header)[:200]}"
        )
    if header.count(found) > 1:
        raise DataError(
            f"{path}:1: the header must name the column `{found}` once. "
            f"Received: {', '.join(header)[:200]}"
        )
    return header.index(found)


def rows(path: pathlib.Path) -> Iterator[tuple[int, list[str]]]:
    """Line and fields of each row, all as many as the header, which comes first.

    Args:
        path: In UTF-8; set apart as its ending says, by commas if it says nothing.
            Its `line` is the last of a row that stands on several.

    Raises:
        DataError: If the file cannot be read; names the line.
    """
    try:
        with gzip.open(path) if path.suffix == _PACKED else path.open("rb") as file:
            yield from _rows(path, file)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def damaged(path: pathlib.Path, line: int, what: object) -> DataError:
    """What is wrong in a line."""
    return DataError(f"{path}:{line}: {what}: mend or remove the line")


def _rows(path, file):
    csv.field_size_limit(_LONGEST)
    reader = csv.reader(_decoded(path, file), **_form(path))
    try:
        header = next(reader, [])
        yield reader.line_num, header
        for row in reader:
            if len(row) == len(header):
                yield reader.line_num, row
            elif row:  # Else an empty line, such as the last.
                said = f"has {len(row)} fields, the header {len(header)}"
                raise damaged(path, reader.line_num, said)
    except csv.Error as error:
        raise damaged(path, reader.line_num, error) from None


def _decoded(path, file):
    for number, line in enumerate(file, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise damaged(path, number, "is not in UTF-8") from None
        if "\0" in text:
            raise damaged(path, number, "has a NUL byte in it")
        yield text


def _hint(path, header):
    """What sets the fields apart, where it is another sign than the form's."""
    own = _form(path)["delimiter"]
    for sign, name in _SIGNS.items():
        if sign != own and len(header) == 1 and sign in header[0]:
            return f", set apart by {_SIGNS[own]}, not {name}"
    return ""


def _form(path):
    return _FORMS.get(_ending(path), _FORMS[".csv"])


def _ending(path):
    return (path.with_suffix("") if path.suffix == _PACKED else path).suffix
