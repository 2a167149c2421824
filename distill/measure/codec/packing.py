"""Packs a file into its container."""

import hashlib
import itertools
import lzma
import pathlib

from distill.measure.codec import coder, layout, planes, spans
from distill.measure.codec.planes import Piece

_LARGE = 1 << 20  # Bytes of a plan from which only one setting of LZMA is tried.
# lc, lp and pb of LZMA.
_SETTINGS = ((3, 0, 2), (3, 0, 0), (4, 0, 0), (0, 0, 0), (0, 0, 2), (2, 2, 2))


def pack(content: bytes) -> bytes:
    """Packs a file.

    Args:
        content: Any bytes. Only of a TFLite file are the constants coded by themselves.

    Returns:
        The container, at most `layout.HEADER.size` bytes longer than the content.
    """
    body = _encode(content, _split(content))
    # LZMA alone never reaches this ratio.
    if len(content) > layout.RATIO * len(body):
        body = _encode(content, [Piece(len(content), planes.TEXT)])
    form = layout.CODED
    if len(body) >= len(content):
        form, body = layout.STORED, content
    sha256 = hashlib.sha256(content).digest()
    start = (layout.MAGIC, layout.VERSION, form)
    blank = layout.HEADER.pack(*start, 0, len(content), sha256)
    crc = layout.crc(blank + body)
    return layout.HEADER.pack(*start, crc, len(content), sha256) + body


def packed_bytes(path: pathlib.Path) -> int:
    """Size of a file's container in bytes."""
    return len(pack(path.read_bytes()))


def _split(content):
    """The whole file in pieces: constants, and the text between them."""
    pieces, end = [], 0
    for span in spans.find(content):
        stop = span.start + span.length
        numbers = planes.encode(content[span.start : stop], span.width)
        if numbers.form != planes.TEXT:
            pieces += [Piece(span.start - end, planes.TEXT), numbers]
            end = stop
    return [*pieces, Piece(len(content) - end, planes.TEXT)]


def _encode(content, pieces):
    """The body of a container: plan, words and stored symbols."""
    ends = itertools.accumulate(piece.length for piece in pieces)
    text = b"".join(
        content[end - piece.length : end]
        for piece, end in zip(pieces, ends, strict=True)
        if piece.form == planes.TEXT
    )
    descriptions = b"".join(map(_describe, pieces))
    plan = layout.DESCRIPTIONS.pack(len(descriptions)) + descriptions + text
    properties, compressed = _compress(plan)
    every = [plane for piece in pieces for plane in piece.planes]
    words = coder.encode(every)
    stored = b"".join(plane.symbols.tobytes() for plane in every if plane.table is None)
    sizes = layout.BODY.pack(len(compressed), len(plan), len(words), properties)
    return sizes + compressed + words + stored


def _describe(piece):
    """The description of a piece in the plan."""
    parts = [layout.PIECE.pack(piece.length, piece.form)]
    if piece.form & planes.BOOK:
        width = piece.form & planes.WIDTH
        parts += [bytes([len(piece.book) // width - 1]), piece.book]
    for plane in piece.planes:
        runs = () if plane.table is None else plane.table.runs
        parts.append(layout.RUNS.pack(len(runs)))
        parts += [bytes([length - 1, weight]) for length, weight in runs]
    return b"".join(parts)


def _compress(plan):
    """The properties and the output of LZMA that make a plan shortest."""
    outputs = {}
    large = len(plan) > _LARGE
    for lc, lp, pb in _SETTINGS[:1] if large else _SETTINGS:
        properties = lc + 9 * (lp + 5 * pb)
        filters = layout.lzma_filters(properties, len(plan))
        filters[0]["preset"] = 1 if large else 6
        outputs[properties] = lzma.compress(plan, lzma.FORMAT_RAW, filters=filters)
    return min(outputs.items(), key=lambda item: len(item[1]))
