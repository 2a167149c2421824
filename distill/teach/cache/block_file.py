"""A file of equal rows, made block by block, each block with its SHA-256.

What was killed goes on at the first block that is missing; a damaged block is made
again. Nothing is taken for whole that is not.
"""

import hashlib
import pathlib
from collections.abc import Callable

import numpy as np

from distill.runtime import progress
from distill.runtime.process import signals

_DIGEST = 32  # Bytes of a SHA-256.


def read_or_make(
    path: pathlib.Path,
    dtype: np.dtype,
    count: int,
    block: int,
    make: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """The rows of a file, of which those that are missing are made first.

    Args:
        path: The file; beside it, with the suffix `.sha256`, lie the digests. No
            other process may write it.
        dtype: Of a row.
        count: Rows.
        block: Rows that are made together.
        make: From the indices of a block, always as many, to its rows. The last
            block is filled up with the first indices.

    Returns:
        `(count,)`, read from the disk as it is used.

    Raises:
        Stopped: If a signal came; what was made is kept.
    """
    marks = path.with_suffix(".sha256")
    for place in (path, marks):
        place.touch()
    starts = range(0, count, block)
    with path.open("r+b") as rows, marks.open("r+b") as digests:
        rows.truncate(count * dtype.itemsize)
        known = digests.read()
        noted = [
            known[at : at + _DIGEST] for at in range(0, _DIGEST * len(starts), _DIGEST)
        ]
        found = [_digest(rows.read(block * dtype.itemsize)) for _ in starts]
        lacking = [n for n in range(len(starts)) if noted[n] != found[n]]
        damaged = sum(any(noted[n]) for n in lacking)
        if damaged:
            progress.say(f"    {path.name}: {damaged} blocks are damaged: made again")
        for number in lacking:
            signals.raise_if_pending()
            indices = np.arange(starts[number], starts[number] + block)
            content = make(indices % count)[: count - starts[number]].tobytes()
            # The digest last: a block that was cut short does not have it.
            for file, at, text in (
                (rows, starts[number] * dtype.itemsize, content),
                (digests, number * _DIGEST, _digest(content)),
            ):
                file.seek(at)
                file.write(text)
                file.flush()
    return np.memmap(path, dtype, "r", shape=(count,))


def _digest(content):
    return hashlib.sha256(content).digest()
