"""Reads the rows of what a Python program gives: arrays, pipelines, iterables."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from distill.data.splits import CHUNK
from distill.runtime.errors import DataError

_EXPECTED = (
    "arrays (x, y), a tf.data.Dataset, a keras.utils.PyDataset, a Grain data set, or a "
    "finite iterable of (x, y)"
)
_INFINITE = -1  # `tf.data.INFINITE_CARDINALITY`.


def chunks(source: Any, part: str) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Yields images and labels, some rows at a time, as they are written.

    Args:
        source: A split: a pair of arrays, or an iterable of pairs, each of which is an
            example or a batch; or images alone in the same forms, without labels.
        part: Its name in messages.

    Raises:
        DataError: If it is anything else.
    """
    for images, labels in _batches(source, part):
        for axis, array in zip("xy", (images, labels), strict=True):
            if array is not None and array.dtype.kind not in "biuf":
                expected = f"data: {axis} of {part} must be numbers"
                raise DataError(f"{expected}. Received: {array.dtype}")
        # One type of each kind, so that the same rows have the same bytes.
        if images.dtype.kind == "f":
            images = images.astype("<f4")
        if labels is not None and labels.dtype.kind in "iu":
            labels = labels.astype("<i8")
        yield np.ascontiguousarray(images), labels


def _batches(source, part):
    """Yields images and labels, or None, of some rows."""
    is_split = isinstance(source, tuple) and is_pair(source)
    if is_split or hasattr(source, "__array__"):
        images, labels = map(np.asarray, source if is_split else (source, ()))
        if is_split:
            _check_count(part, images, labels)
        for start in range(0, len(images), CHUNK):
            chosen = slice(start, start + CHUNK)
            yield images[chosen], labels[chosen] if is_split else None
        return
    batched = None
    for element in _elements(source, part):
        if hasattr(element, "__array__"):  # An image, or some.
            images = np.asarray(element)
            yield (images if images.ndim > 3 else images[None]), None
            continue
        if not isinstance(element, tuple | list) or len(element) != 2:
            raise DataError(
                f"data: {part} must give pairs (x, y). Received: {_kind(element)}"
            )
        images, labels = map(np.asarray, element)
        if batched is None:
            batched = _is_batched(source, images, labels)
        yield _rows(part, images, labels, batched)


def _rows(part, images, labels, batched):
    """The rows of an element: a batch, or an example."""
    if not batched:
        return images[None], labels[None]
    _check_count(part, images, labels)
    return images, labels


def _check_count(part, images, labels):
    if not images.ndim or labels.shape[:1] != images.shape[:1]:
        raise DataError(
            f"data: {part} must have as many labels as images. "
            f"Received: y of shape {labels.shape}, x of shape {images.shape}"
        )


def _elements(source, part) -> Iterable:
    """The examples or batches of a data set, in order."""
    if hasattr(source, "element_spec"):
        if int(source.cardinality()) == _INFINITE:
            raise DataError(f"data: {part} must end. Received: an infinite data set")
        return source.as_numpy_iterator()
    if isinstance(source, str | bytes | Mapping):
        raise DataError(f"data: {part} must be {_EXPECTED}. Received: {_kind(source)}")
    if hasattr(source, "__len__") and len(source) == sys.maxsize:
        raise DataError(f"data: {part} must end. Received: an infinite data set")
    # First: what Grain has filtered is None by its index, and absent from its iterator.
    if hasattr(source, "__iter__"):
        return source
    if hasattr(source, "__getitem__") and hasattr(source, "__len__"):
        return (source[index] for index in range(len(source)))
    raise DataError(f"data: {part} must be {_EXPECTED}. Received: {_kind(source)}")


def _is_batched(source, images, labels):
    """Whether an element is a batch: images and labels share their first axis."""
    shapes = images.shape, labels.shape
    if not all(shapes) or shapes[0][0] != shapes[1][0]:
        return False
    # Examples may look like a batch. In a specification, sizes may be open, as None;
    # and so may be ranks, or parts of it may have none.
    spec = [getattr(part, "shape", None) for part in _spec_of(source)]
    if len(spec) != 2 or any(getattr(shape, "rank", None) is None for shape in spec):
        return True
    (first, *_), (other, *_) = (tuple(shape) or (None,) for shape in spec)
    return all(shape.rank for shape in spec) and (
        first == other or (labels.ndim == 1 and other is None)
    )


def _spec_of(source):
    """The specifications of a source's elements; empty if it has none."""
    spec = getattr(source, "element_spec", ())
    return spec if isinstance(spec, tuple) else ()


def is_pair(given: tuple) -> bool:
    """Whether this is one split of arrays: images and labels."""
    return len(given) == 2 and all(hasattr(part, "__array__") for part in given)


def _kind(value):
    """What something is, in messages."""
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return type(value).__name__
