"""Splits numbers into planes of symbols, and joins them again.

Symbols are bytes or half bytes of the numbers, of their differences, or of indices into
a codebook.
"""

import dataclasses
import lzma

import numpy as np

from distill.measure.codec import steps
from distill.measure.codec.spans import NIBBLES
from distill.measure.codec.steps import Steps

# Forms: text, half bytes, or a width in bytes, to which flags are added.
TEXT, HALVES, WIDTHS = 0, 15, (1, 2, 4, 8)
WIDTH, DIFFERENCES, BOOK = 15, 16, 32
HEAD = 5  # Bytes of a piece's length and form.
_SAMPLE = 1 << 17  # Bytes from which the output of LZMA is estimated.
_FIRST = 1 << 12  # Numbers that are looked at before all of them are sorted.


@dataclasses.dataclass(frozen=True)
class Plane:
    """Symbols that share a table.

    Attributes:
        symbols: One in each byte, `(n,)` uint8.
        table: Their frequencies; None if the symbols are stored as they are.
    """

    symbols: np.ndarray
    table: Steps | None

    @property
    def size(self) -> float:
        """The approximate size in bytes, including the table."""
        if self.table is None:
            return 1 + len(self.symbols)
        return self.table.bits(_counts(self.symbols)) / 8


@dataclasses.dataclass(frozen=True)
class Piece:
    """Successive bytes of a file, and how they are encoded.

    Attributes:
        length: Number of bytes.
        form: `TEXT`, `HALVES`, or a width with the flags `DIFFERENCES` and `BOOK`.
        planes: The symbols; empty for text.
        book: The codebook: the bytes of the numbers that indices stand for.
    """

    length: int
    form: int
    planes: tuple[Plane, ...] = ()
    book: bytes = b""

    @property
    def size(self) -> float:
        """The approximate size in bytes; not for text."""
        return HEAD + len(self.book) + sum(plane.size for plane in self.planes)


def encode(content: bytes, width: int) -> Piece:
    """Encodes numbers as the shortest piece, which may be text.

    Args:
        content: The bytes of the numbers.
        width: See `Span`.
    """
    shortest = encode_numbers(content, width)
    sample = content[:_SAMPLE]
    as_text = len(lzma.compress(sample, lzma.FORMAT_ALONE, preset=0))
    if as_text * len(content) < shortest.size * len(sample):
        return Piece(len(content), TEXT)
    return shortest


def encode_numbers(content: bytes, width: int) -> Piece:
    """Encodes numbers as the shortest piece that is not text; see `encode`."""
    return min(_candidates(content, width), key=lambda piece: piece.size)


def size(content: bytes, width: int) -> float:
    """The size of numbers in a container in bytes, at most; see `encode`."""
    if not content:
        return 0.0
    return min(len(content), encode_numbers(content, width).size)


def _candidates(content, width):
    """Yields the possible pieces of numbers."""
    if width == NIBBLES:
        halves = np.frombuffer(content, np.uint8)
        symbols = np.stack([halves & 15, halves >> 4], 1).ravel()
        yield Piece(len(content), HALVES, (_fit_plane(symbols),))
        width = 1
    numbers = np.frombuffer(content, f"<u{width}")
    differences = np.diff(numbers, prepend=numbers.dtype.type(0))
    if _entropy(differences) < _entropy(numbers):
        yield Piece(len(content), width | DIFFERENCES, _fit_planes(differences))
    else:
        yield Piece(len(content), width, _fit_planes(numbers))
    # Sorting all of many different numbers would take longest.
    if width > 1 and len(np.unique(numbers[:_FIRST])) <= steps.SYMBOLS:
        book, indices = np.unique(numbers, return_inverse=True)
        if len(book) <= steps.SYMBOLS:
            symbols = _fit_plane(indices.astype(np.uint8))
            yield Piece(len(content), width | BOOK, (symbols,), book.tobytes())


def _columns(numbers):
    """The bytes of the numbers, `(width, n)`, the lowest first."""
    return numbers.view(np.uint8).reshape(len(numbers), -1).T


def _entropy(numbers):
    """The entropy of the numbers' planes in bits: no table needs fewer."""
    return sum(steps.entropy(_counts(column)) for column in _columns(numbers))


def _fit_planes(numbers):
    return tuple(map(_fit_plane, _columns(numbers)))


def _fit_plane(symbols):
    """The plane of symbols, coded with a table or stored, whichever is shorter."""
    stored = Plane(np.ascontiguousarray(symbols), None)
    counts = _counts(stored.symbols)
    if steps.entropy(counts) / 8 + steps.RUN_BYTES >= stored.size:
        return stored  # No table can be shorter; fitting one is slow.
    coded = Plane(stored.symbols, steps.fit(counts))
    return min(coded, stored, key=lambda plane: plane.size)


def _counts(symbols):
    return np.bincount(symbols, minlength=steps.SYMBOLS)


def decode(piece: Piece) -> bytes:
    """Decodes the bytes of a piece; undoes `encode`.

    Raises:
        ValueError: If an index is beyond the codebook.
    """
    width, first = piece.form & WIDTH, piece.planes[0].symbols
    if width == HALVES:
        return (first[::2] | first[1::2] << 4).astype(np.uint8).tobytes()
    if piece.form & BOOK:
        numbers = _look_up(np.frombuffer(piece.book, f"<u{width}"), first)
    else:
        columns = [plane.symbols for plane in piece.planes]
        numbers = np.stack(columns, 1).astype(np.uint8).view(f"<u{width}").ravel()
    if piece.form & DIFFERENCES:
        numbers = np.cumsum(numbers, dtype=numbers.dtype)
    return numbers.tobytes()


def _look_up(book, indices):
    if len(indices) and indices.max() >= len(book):
        raise ValueError("an index beyond its codebook")
    return book[indices]
