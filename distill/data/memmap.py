"""Images that need not fit into memory: decoded once to a file, read row by row."""

import hashlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO

import numpy as np

PIXELS, LABELS, POSITIONS = "pixels.npy", "labels.npy", "places.npy"


class Rows:
    """A selection of rows of an array in a file, which are read when indexed.

    Args:
        array: A memory-mapped array `(n, ...)`.
        chosen: Indices of the rows, in order; None means all rows.
    """

    def __init__(self, array: np.ndarray, chosen: np.ndarray | None = None):
        self._array = array
        self._chosen = np.arange(len(array)) if chosen is None else chosen

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array that `rows[:]` would return."""
        return (len(self), *self._array.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """The type of the array."""
        return self._array.dtype

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._chosen)

    def __getitem__(self, index) -> np.ndarray:
        """Reads rows into memory."""
        return np.array(self._array[self._chosen[index]])

    def take(self, chosen: np.ndarray) -> "Rows":
        """Selects from these rows without reading them."""
        return Rows(self._array, self._chosen[chosen])


def read_or_decode(
    files: Sequence[pathlib.Path],
    shape: tuple[int, ...],
    decode: Callable[[], Iterable[tuple[np.ndarray, int, int]]],
    also: str,
    count: Callable[[], int] | None = None,
) -> tuple[Rows, np.ndarray, np.ndarray]:
    """Reads the decoded images of files; decodes them first unless they are cached.

    The cache is in `$XDG_CACHE_HOME/distill` (`~/.cache/distill`), in a folder whose
    name depends on path, size and time of each file, on the shape, and on `also`.

    Args:
        files: The files to decode.
        shape: Shape of an image, uint8.
        decode: Yields image, label and position of each image, in order; positions
            count images that are left out too.
        also: Everything else that determines the output of `decode`, including labels
            that are not in the files.
        count: Returns the maximal number of images; None means one for each file.

    Returns:
        The images; their labels and positions, int64 `(n,)`.

    Raises:
        OSError: If the disk has too little space; the message says how much is needed.
    """
    sha = hashlib.sha256(repr((shape, also)).encode())
    for file in files:
        # On Linux, file names may be bytes that are not UTF-8.
        sha.update(stamp(file).encode(errors="surrogateescape"))
    root = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    folder = pathlib.Path(root) / "distill" / sha.hexdigest()
    if not folder.is_dir():
        _decode(folder, count() if count else len(files), shape, decode)
    pixels = np.load(folder / PIXELS, mmap_mode="r", allow_pickle=False)
    labels, positions = (
        np.load(folder / name, allow_pickle=False) for name in (LABELS, POSITIONS)
    )
    return Rows(pixels), labels, positions


def stamp(file: pathlib.Path) -> str:
    """A text that changes with a file's path, size or time.

    Raises:
        OSError: If the file does not exist.
    """
    status = file.stat()
    return f"{file.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\n"


def _decode(folder, maximum, shape, decode):
    """Writes the folder atomically."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Before decoding, which may take hours.
    needed, free = maximum * int(np.prod(shape)), shutil.disk_usage(folder.parent).free
    if needed > free:
        raise OSError(
            f"{folder.parent} has {free / 1e9:.1f} GB of free space, decoded images "
            f"need {needed / 1e9:.1f} GB: free some, or set XDG_CACHE_HOME"
        )
    # In the same file system, so that the folder can be renamed into place.
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        target = pathlib.Path(temporary) / "made"
        target.mkdir()
        records = []
        # Written image by image, since all may not fit into memory. How many can be
        # read is known at the end only, so the header is written twice.
        with (target / PIXELS).open("wb") as file:
            write_header(file, np.uint8, (maximum, *shape))
            for image, *record in decode():
                file.write(image.tobytes())
                records.append(record)
            file.seek(0)
            write_header(file, np.uint8, (len(records), *shape))
        labels, positions = np.array(records, np.int64).reshape(-1, 2).T
        np.save(target / LABELS, labels)
        np.save(target / POSITIONS, positions)
        try:
            target.rename(folder)
        except OSError:  # Another process has decoded the same files meanwhile.
            if not folder.is_dir():
                raise


def write_header(file: BinaryIO, dtype: np.typing.DTypeLike, shape: tuple[int, ...]):
    """Writes the header of a `.npy` file; NumPy pads it, so any first axis fits.

    Args:
        file: Open for writing, at its start.
        dtype: The type of the numbers that follow.
        shape: The array's shape.
    """
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
