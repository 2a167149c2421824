"""Unpacks a container, which may be foreign: sizes are checked before they are used."""

import dataclasses
import hashlib
import lzma
import pathlib

import numpy as np

from distill.measure.codec import layout, planes
from distill.measure.codec.coder import Decoder
from distill.measure.codec.planes import Piece, Plane
from distill.measure.codec.steps import SYMBOLS, Steps
from distill.runtime.errors import Untrusted


def read(path: pathlib.Path) -> bytes:
    """Reads a container.

    Raises:
        Untrusted: If the file is larger than any container.
    """
    limit, size = layout.LARGEST + layout.HEADER.size, path.stat().st_size
    if size > limit:
        raise Untrusted(f"{size:,} bytes, more than the {limit:,} of any container")
    return path.read_bytes()


def unpack(container: bytes) -> bytes:
    """Unpacks a container.

    Args:
        container: The result of `pack`, or any other bytes.

    Returns:
        The bytes of the file.

    Raises:
        Untrusted: If anything in the container is invalid.
    """
    form, length, sha256 = _parse_header(container)
    body = container[layout.HEADER.size :]
    try:
        content = body if form == layout.STORED else _decode(body, length)
    except (ValueError, lzma.LZMAError) as error:
        raise _damage(error) from None
    if len(content) != length or hashlib.sha256(content).digest() != sha256:
        raise _damage("its SHA-256 is that of something else")
    return content


def _damage(what):
    """The error about a damaged container."""
    return Untrusted(f"a damaged container: {what}. Copy it again from the original")


def _parse_header(container):
    """The form, and the length and SHA-256 of the file."""
    size = len(container)
    if container[:4] != layout.MAGIC:
        raise Untrusted("not a container of distill.pack: it does not begin with TFLZ")
    if size < layout.HEADER.size:
        raise _damage(f"its {size} bytes are fewer than a header has")
    _, version, form, crc, length, sha256 = layout.HEADER.unpack_from(container)
    if version != layout.VERSION:
        raise Untrusted(
            f"a container of version {version}, but this distill reads version "
            f"{layout.VERSION}: use a newer distill"
        )
    if crc != layout.crc(container):
        raise _damage("its CRC-32 is wrong")
    if form not in (layout.STORED, layout.CODED):
        raise _damage(f"form {form}, but only 0 and 1 exist")
    if length > min(layout.LARGEST, layout.RATIO * size):
        raise _damage(f"its {size:,} bytes claim a file of {length:,} bytes")
    return form, length, sha256


def _decode(body, length):
    """Decodes the body of a container.

    Raises:
        ValueError: If it is invalid; the message says why.
    """
    if len(body) < layout.BODY.size:
        raise ValueError("it ends before its sizes do")
    compressed, plan, words, properties = layout.BODY.unpack_from(body)
    rest = body[layout.BODY.size :]
    if compressed + words > len(rest) or words % 4:
        raise ValueError("its parts are larger than the whole")
    if plan > 2 * length + SYMBOLS:
        raise ValueError(f"it claims a plan of {plan:,} bytes for a file of {length:,}")
    text = _Cursor(_decompress(rest[:compressed], plan, properties))
    (size,) = text.unpack(layout.DESCRIPTIONS)
    pieces = _parse_pieces(_Cursor(text.take(size)), length)
    end = compressed + words
    return _join(pieces, text, Decoder(rest[compressed:end]), _Cursor(rest[end:]))


def _decompress(compressed, plan, properties):
    """Decompresses the plan, which has exactly `plan` bytes."""
    filters = layout.lzma_filters(properties, plan)
    lzma_stream = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
    content = lzma_stream.decompress(compressed, plan)
    more = b"" if lzma_stream.eof else lzma_stream.decompress(b"", 1)
    if len(content) != plan or more or not lzma_stream.eof or lzma_stream.unused_data:
        raise ValueError("its plan does not have the size that it claims")
    return content


class _Cursor:
    """Reads bytes in order, and refuses to read beyond their end."""

    def __init__(self, content):
        self._content, self._at = content, 0

    def take(self, count):
        taken = self._content[self._at : self._at + count]
        if len(taken) != count:
            raise ValueError("it ends too early")
        self._at += count
        return taken

    def unpack(self, form):
        return form.unpack(self.take(form.size))

    @property
    def at_end(self):
        return self._at == len(self._content)

    def check_end(self):
        if not self.at_end:
            raise ValueError("bytes are left over")


@dataclasses.dataclass(frozen=True)
class _Description:
    """A piece as the plan describes it, without the symbols of its planes."""

    length: int
    form: int
    book: bytes = b""
    count: int = 0  # Symbols of each plane.
    tables: tuple[Steps | None, ...] = ()


def _parse_pieces(cursor, length):
    """The descriptions of the pieces, which fill the file exactly."""
    pieces = []
    while length >= 0 and not cursor.at_end:
        pieces.append(_parse_piece(cursor))
        length -= pieces[-1].length
    if length:
        raise ValueError("its pieces do not fill the file")
    return pieces


def _parse_piece(cursor):
    length, form = cursor.unpack(layout.PIECE)
    if form == planes.TEXT:
        return _Description(length, form)
    width, flags = form & planes.WIDTH, form & ~planes.WIDTH
    halves = form == planes.HALVES
    if not halves and (
        width not in planes.WIDTHS
        or flags & ~(planes.DIFFERENCES | planes.BOOK)
        or length % width
    ):
        raise ValueError(f"a piece of form {form} and {length:,} bytes")
    book = b""
    if flags & planes.BOOK:
        book = cursor.take(width * (1 + cursor.take(1)[0]))
    tables = tuple(_parse_table(cursor) for _ in range(1 if halves or book else width))
    count = 2 * length if halves else length // width
    return _Description(length, form, book, count, tables)


def _parse_table(cursor):
    (count,) = cursor.unpack(layout.RUNS)
    if not count:
        return None
    pairs = cursor.take(2 * count)
    runs = zip(pairs[::2], pairs[1::2], strict=True)
    return Steps(tuple((length + 1, weight) for length, weight in runs))


def _join(pieces, text, decoder, stored):
    """The bytes of all pieces, which use up all three streams."""
    parts = []
    for piece in pieces:
        if piece.form == planes.TEXT:
            parts.append(text.take(piece.length))
            continue
        filled = tuple(
            Plane(
                decoder.decode(table, piece.count)
                if table
                else np.frombuffer(stored.take(piece.count), np.uint8),
                table,
            )
            for table in piece.tables
        )
        full = Piece(piece.length, piece.form, filled, piece.book)
        parts.append(planes.decode(full))
    for stream in (text, decoder, stored):
        stream.check_end()
    return b"".join(parts)
