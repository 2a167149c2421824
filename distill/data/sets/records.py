"""Reads TFRecord files, their examples, and the description beside them."""

import itertools
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from distill.runtime.errors import DataError

FEATURES = "features.json"  # Written beside the files by TensorFlow Datasets.
_OVERHEAD = 16  # Bytes of a record besides its content: length and two checksums.


def single_value(features, name, kind):
    """The value of a feature that must have exactly one, in a list."""
    if name not in features:
        raise DataError(f"There is no feature `{name}`, but {', '.join(features)}")
    values = getattr(features[name], kind).value
    if len(values) != 1:
        raise DataError(f"`{name}` must be a {kind} of one. Received: {len(values)}")
    return values


def read_records(file: pathlib.Path) -> Iterator[bytes]:
    """Yields the records of a file; TensorFlow verifies their checksums."""
    try:
        import tensorflow as tf
    except ModuleNotFoundError:
        raise DataError(
            f"{file} is decoded by TensorFlow, which is not installed: install it, or "
            "use `image_folder`"
        ) from None
    import keras

    if keras.backend.backend() != "tensorflow":
        # Else TensorFlow would allocate the memory that Keras' backend needs.
        tf.config.set_visible_devices([], "GPU")
    try:
        # Batched: a call of TensorFlow for each record would dominate the time.
        batches = tf.data.TFRecordDataset(str(file)).batch(64)
        yield from itertools.chain.from_iterable(batches.as_numpy_iterator())
    except tf.errors.OpError as error:
        raise DataError(f"{file} is damaged: {error.message}") from None


def parse_example(record: bytes) -> Any:
    """Parses a record; returns its features by name."""
    import tensorflow as tf

    try:
        return tf.train.Example.FromString(record).features.feature
    except Exception:  # Of protobuf, on which this package does not depend.
        raise DataError("It must be a tf.train.Example") from None


def count_records(file: pathlib.Path) -> int:
    """Counts the records of a file by reading their lengths, not their content."""
    position, count, size = 0, 0, file.stat().st_size
    with file.open("rb", buffering=0) as stream:
        while position < size:
            stream.seek(position)
            position += int.from_bytes(stream.read(8), "little") + _OVERHEAD
            count += 1
    if position != size:
        raise DataError(f"{file} is truncated, or not a TFRecord file")
    return count


def read_class_names(file: pathlib.Path) -> tuple[str, ...]:
    """Reads class names, one from each line; empty if there is no such file."""
    if not file.is_file():
        return ()
    try:
        lines = file.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"`path` must hold a {file.name} in UTF-8, or none. Received: {error}"
        ) from None
    return tuple(line.strip() for line in lines if line.strip())


def read_features(root: pathlib.Path) -> dict[str, Any]:
    """Reads the description of each feature by TensorFlow Datasets; empty if absent.

    Source:
        `tensorflow_datasets/core/proto/feature.proto`, as JSON.
    """
    file = root / FEATURES
    if not file.is_file():
        return {}
    try:
        return json.loads(file.read_text("utf-8"))["featuresDict"]["features"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"`path` must hold a {FEATURES} as TensorFlow Datasets writes it, or none. "
            f"Received: {file} ({error!r})"
        ) from None
