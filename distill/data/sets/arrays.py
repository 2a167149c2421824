"""Arrays that others have made: images and labels as we take them, or a cure."""

import numpy as np

from distill.runtime.errors import DataError

_NEAR = 1e-3  # What rounding may move a float beyond [0, 1].


def images(array: np.ndarray, where: str, shape: tuple[int, ...]) -> np.ndarray:
    """Images `(n, height, width, channels)`, uint8 or float32 in [0, 1].

    Args:
        array: `(n, height, width, channels)`, of grey ones perhaps without the last
            axis; uint8, or floats in [0, 1].
        where: File and name, for the message.
        shape: `(height, width, channels)` of one.

    Raises:
        DataError: If it is anything else.
    """
    shapes = [shape, shape[:2]] if shape[2] == 1 else [shape]
    if array.shape[1:] not in shapes or not len(array):
        wanted = " or ".join(f"(n, {', '.join(map(str, one))})" for one in shapes)
        raise _wrong(where, f"of shape {wanted}", f"shape {array.shape}")
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        wanted = f"uint8, or floats from 0 to 1{_narrower(array)}"
        raise _wrong(where, wanted, _range(array))
    low, high = array.min(), array.max()
    if not np.isfinite([low, high]).all():
        lost = ~np.isfinite(array).reshape(len(array), -1)
        said = f"{lost.sum():,} that are not, the first in row {lost.any(1).argmax()}"
        raise _wrong(where, "finite numbers", said)
    if array.dtype == np.uint8 and high <= 1:
        cure = "; multiply by 255" if high else ""
        raise _wrong(where, f"uint8 from 0 to 255{cure}", _range(array))
    if array.dtype != np.uint8 and not _is_share(low, high):
        wanted = f"uint8, or floats from 0 to 1{_cure(low, high)}"
        raise _wrong(where, wanted, _range(array))
    kind = np.uint8 if array.dtype == np.uint8 else np.float32
    return array.reshape(len(array), *shape).astype(kind, copy=False)


def labels(array: np.ndarray, where: str, count: int, classes: int) -> np.ndarray:
    """Labels, int64 `(n,)`.

    Args:
        array: `(n,)` or `(n, 1)`, whole numbers from 0.
        where: File and name, for the message.
        count: Of the images.
        classes: That there are.

    Raises:
        DataError: If it is anything else.
    """
    if array.shape == (count, classes):
        raise _wrong(where, "one number a row: argmax(-1)", f"shape {array.shape}")
    if array.shape not in ((count,), (count, 1)):
        wanted = f"one label for each of {count} images"
        raise _wrong(where, wanted, f"shape {array.shape}")
    if array.dtype.kind not in "iu":
        raise _wrong(where, 'whole numbers: astype("int64")', f"{array.dtype}")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= classes:
        moved = high - low < classes and {-1: "; add 1", 1: "; take 1 off"}.get(low)
        wanted = f"labels from 0 to {classes - 1}{moved or ''}"
        raise _wrong(where, wanted, f"{low} to {high}")
    return array.reshape(-1).astype(np.int64)


def _is_share(low, high):
    return low >= -_NEAR and 1 / 200 <= high <= 1 + _NEAR


def _cure(low, high):
    if low < 0:
        return "; add 1 and halve" if low >= -1 - _NEAR and high <= 1 + _NEAR else ""
    if high <= 1:
        return "; they look divided by 255 twice" if high else ""
    return "; divide by 255" if high <= 255 else "; divide by what white is"


def _narrower(array):
    """How whole numbers become bytes."""
    if array.dtype.kind not in "iu" or array.min() < 0 or array.max() > 65535:
        return ""
    cure = '; astype("uint8")'
    return cure if array.max() <= 255 else f"; shift right by 8, then{cure[1:]}"


def _range(array):
    if array.dtype.kind not in "iuf" or not array.size:
        return f"{array.dtype}"
    return f"{array.dtype} from {array.min():g} to {array.max():g}"


def _wrong(where, expected, received):
    return DataError(f"{where} must be {expected}. Received: {received}")
