"""A file of rows of equal size, computed block by block, each block with its SHA-256.

An interrupted computation continues at the first missing block, and a damaged block is
computed again: a block counts as complete only if its digest matches.
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
    """Reads the rows of a file after computing those that are missing.

    Args:
        path: The file; the digests are beside it, in a file with the suffix `.sha256`.
            No other process may write it.
        dtype: The type of a row.
        count: Number of rows.
        block: Number of rows that are computed together.
        make: Maps the indices of a block, `(block,)`, to its rows. The last block is
            padded with the first indices.

    Returns:
        The rows, `(count,)`, as a memory-mapped array.

    Raises:
        Stopped: If a signal came; complete blocks stay.
    """
    digest_path = path.with_suffix(".sha256")
    for file_path in (path, digest_path):
        file_path.touch()
    starts = range(0, count, block)
    with path.open("r+b") as rows, digest_path.open("r+b") as digests:
        rows.truncate(count * dtype.itemsize)
        content = digests.read()
        recorded = [
            content[at : at + _DIGEST]
            for at in range(0, _DIGEST * len(starts), _DIGEST)
        ]
        actual = [_digest(rows.read(block * dtype.itemsize)) for _ in starts]
        invalid = [n for n in range(len(starts)) if recorded[n] != actual[n]]
        # A block that was never computed has no digest, or zeros in its place.
        damaged = sum(any(recorded[n]) for n in invalid)
        if damaged:
            progress.say(f"    {path.name}: {damaged} blocks are damaged: made again")
        for number in invalid:
            signals.raise_if_pending()
            indices = np.arange(starts[number], starts[number] + block)
            content = make(indices % count)[: count - starts[number]].tobytes()
            # The digest last: a block that was written in part does not match it.
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
