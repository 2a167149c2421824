"""Opens arrays of images and labels in one form, or says what is wrong."""

import pathlib

import numpy as np

from distill.runtime.errors import DataError

_TOLERANCE = 1e-3  # Rounding may move a float out of [0, 1] by less.


def load(file: pathlib.Path) -> np.ndarray:
    """Opens a `.npy` file without reading it into memory.

    Raises:
        DataError: If there is no such file, or it contains no array of numbers.
    """
    try:
        # Unlike `np.load`, it opens no archive of several arrays, and no pickle.
        return np.lib.format.open_memmap(file, mode="r")
    except Exception as error:  # A damaged file may raise any error.
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{file} must be a .npy file of numbers: {reason}") from None


def images(array: np.ndarray, where: str, shape: tuple[int, ...]) -> np.ndarray:
    """Checks images; returns `(n, height, width, channels)`, uint8 or float32.

    Args:
        array: Images `(n, height, width, channels)`; grey ones may lack the last axis;
            uint8, or floats in [0, 1].
        where: File and name of the array, for the message.
        shape: `(height, width, channels)` of one image.

    Raises:
        DataError: If the array is anything else.
    """
    shapes = [shape, shape[:2]] if shape[2] == 1 else [shape]
    if array.shape[1:] not in shapes or not len(array):
        expected = " or ".join(f"(n, {', '.join(map(str, one))})" for one in shapes)
        raise _error(where, f"of shape {expected}", f"shape {array.shape}")
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        expected = f"uint8, or floats from 0 to 1{_uint8_hint(array)}"
        raise _error(where, expected, _describe_range(array))
    low, high = array.min(), array.max()
    if not np.isfinite([low, high]).all():
        bad = ~np.isfinite(array).reshape(len(array), -1)
        received = f"{bad.sum():,} that are not, the first in row {bad.any(1).argmax()}"
        raise _error(where, "finite numbers", received)
    # Bytes of 0 and 1 would be divided by 255, and train on almost black images.
    if array.dtype == np.uint8 and high <= 1:
        hint = "; multiply by 255" if high else ""
        raise _error(where, f"uint8 from 0 to 255{hint}", _describe_range(array))
    if array.dtype != np.uint8 and not _is_scaled(low, high):
        expected = f"uint8, or floats from 0 to 1{_range_hint(low, high)}"
        raise _error(where, expected, _describe_range(array))
    kind = np.uint8 if array.dtype == np.uint8 else np.float32
    return array.reshape(len(array), *shape).astype(kind, copy=False)


def labels(array: np.ndarray, where: str, count: int, classes: int) -> np.ndarray:
    """Checks labels; returns int64 `(n,)`.

    Args:
        array: Labels `(n,)` or `(n, 1)`, whole numbers from 0.
        where: File and name of the array, for the message.
        count: Number of images.
        classes: Number of classes.

    Raises:
        DataError: If the array is anything else.
    """
    # One-hot labels.
    if array.shape == (count, classes):
        raise _error(
            where, "one number for each image: argmax(-1)", f"shape {array.shape}"
        )
    if array.shape not in ((count,), (count, 1)):
        expected = f"one label for each of {count} images"
        raise _error(where, expected, f"shape {array.shape}")
    if array.dtype.kind not in "iu":
        raise _error(where, 'whole numbers: astype("int64")', f"{array.dtype}")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= classes:
        hint = high - low < classes and {-1: "; add 1", 1: "; subtract 1"}.get(low)
        expected = f"labels from 0 to {classes - 1}{hint or ''}"
        raise _error(where, expected, f"{low} to {high}")
    return array.reshape(-1).astype(np.int64)


def _is_scaled(low, high):
    # Pixels that were divided by 255 twice are at most 1 / 255.
    return low >= -_TOLERANCE and 1 / 200 <= high <= 1 + _TOLERANCE


def _range_hint(low, high):
    if low < 0:
        return (
            "; add 1 and halve"
            if low >= -1 - _TOLERANCE and high <= 1 + _TOLERANCE
            else ""
        )
    if high <= 1:
        return "; they look divided by 255 twice" if high else ""
    # Other scales, such as 0 to 16, would be almost black, and accepted.
    return f"; divide by {255 if 128 <= high <= 255 else 'the value of white'}"


def _uint8_hint(array):
    """The hint how to convert whole numbers to uint8, for the message."""
    if array.dtype.kind not in "iu" or array.min() < 0 or array.max() > 65535:
        return ""
    hint = '; astype("uint8")'
    return hint if array.max() <= 255 else f"; shift right by 8, then{hint[1:]}"


def _describe_range(array):
    if array.dtype.kind not in "iuf" or not array.size:
        return f"{array.dtype}"
    return f"{array.dtype} from {array.min():g} to {array.max():g}"


def _error(where, expected, received):
    return DataError(f"{where} must be {expected}. Received: {received}")
