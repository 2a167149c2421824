"""Images that need not fit into memory: decoded once, kept in a file, read in rows."""

import hashlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO

import numpy as np

PIXELS, LABELS, PLACES = "pixels.npy", "labels.npy", "places.npy"


class Rows:
    """Some rows of an array in a file, in some order; read when they are indexed.

    Args:
        array: Memory-mapped, `(n, ...)`.
        chosen: Which rows, and in which order; None means all.
    """

    def __init__(self, array: np.ndarray, chosen: np.ndarray | None = None):
        self._array = array
        self._chosen = np.arange(len(array)) if chosen is None else chosen

    @property
    def shape(self) -> tuple[int, ...]:
        """As of the array that `rows[:]` would be."""
        return (len(self), *self._array.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """Of the array."""
        return self._array.dtype

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._chosen)

    def __getitem__(self, index) -> np.ndarray:
        """The rows of an index, read into memory."""
        return np.array(self._array[self._chosen[index]])

    def take(self, chosen: np.ndarray) -> "Rows":
        """Rows of these rows; nothing is read."""
        return Rows(self._array, self._chosen[chosen])


def read_or_decode(
    files: Sequence[pathlib.Path],
    shape: tuple[int, ...],
    decode: Callable[[], Iterable[tuple[np.ndarray, int, int]]],
    also: str,
    count: Callable[[], int] | None = None,
) -> tuple[Rows, np.ndarray, np.ndarray]:
    """The pixels of files, decoded now unless they were before.

    They are kept in `$XDG_CACHE_HOME/distill` (`~/.cache/distill`), under a name
    that changes with the path, size and time of any file, with the shape, and `also`.

    Args:
        files: What is decoded.
        shape: Of an image, uint8.
        decode: Gives each image, its label, and its place among the images that there
            are, in order; those left out are missing.
        also: What else decides what `decode` gives: the labels too, where they are not
            in the files.
        count: Says how many images there are at most; None means one a file.

    Returns:
        The images; labels and places, int64, `(n,)`.

    Raises:
        OSError: If there is no room for them; says how much is needed.
    """
    sha = hashlib.sha256(repr((shape, also)).encode())
    for file in files:
        sha.update(stamp(file).encode(errors="surrogateescape"))
    root = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    folder = pathlib.Path(root) / "distill" / sha.hexdigest()
    if not folder.is_dir():
        _decode(folder, count() if count else len(files), shape, decode)
    pixels = np.load(folder / PIXELS, mmap_mode="r", allow_pickle=False)
    labels, places = (
        np.load(folder / name, allow_pickle=False) for name in (LABELS, PLACES)
    )
    return Rows(pixels), labels, places


def stamp(file: pathlib.Path) -> str:
    """Changes with a file's path, size and time.

    Raises:
        OSError: If it is not there.
    """
    facts = file.stat()
    return f"{file.resolve()}\0{facts.st_size}\0{facts.st_mtime_ns}\n"


def _decode(folder, most, shape, decode):
    """Writes the folder, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    needed, free = most * int(np.prod(shape)), shutil.disk_usage(folder.parent).free
    if needed > free:
        raise OSError(
            f"{folder.parent} has room for {free / 1e9:.1f} GB, the decoded images "
            f"need {needed / 1e9:.1f}; make room, or set XDG_CACHE_HOME"
        )
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        made = pathlib.Path(temporary) / "made"
        made.mkdir()
        found = []
        with (made / PIXELS).open("wb") as file:
            _head(file, (most, *shape))
            for image, *facts in decode():
                file.write(image.tobytes())
                found.append(facts)
            file.seek(0)
            _head(file, (len(found), *shape))  # Of the same length: see there.
        labels, places = np.array(found, np.int64).reshape(-1, 2).T
        np.save(made / LABELS, labels)
        np.save(made / PLACES, places)
        try:
            made.rename(folder)
        except OSError:  # Another process was faster.
            if not folder.is_dir():
                raise


def _head(file: BinaryIO, shape: tuple[int, ...]):
    """Of a `.npy` file; NumPy leaves room in it for a longer first axis."""
    head = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, head)
