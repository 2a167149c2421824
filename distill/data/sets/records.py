"""TFRecord files: what their features are called, and how one example is read."""

import itertools
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from distill.runtime.errors import DataError

FEATURES = "features.json"  # Beside the files, by TensorFlow Datasets.
_AROUND = 16  # Bytes of a record beside its content: length and two checksums.


def _values(features, name, kind):
    """The one value of a feature, in a list."""
    if name not in features:
        raise DataError(f"There is no feature `{name}`, but {', '.join(features)}")
    values = getattr(features[name], kind).value
    if len(values) != 1:
        raise DataError(f"`{name}` must be a {kind} of one. Received: {len(values)}")
    return values


def _records(file: pathlib.Path) -> Iterator[bytes]:
    """The records of a file, whose checksums are right."""
    try:
        import tensorflow as tf
    except ModuleNotFoundError:
        raise DataError(
            f"{file} is decoded by TensorFlow, which is not installed: install it, or "
            "take `image_folder`"
        ) from None
    import keras

    if keras.backend.backend() != "tensorflow":
        tf.config.set_visible_devices([], "GPU")  # Their memory is for Keras' backend.
    try:
        # One by one, TensorFlow would take longer than a small image.
        some = tf.data.TFRecordDataset(str(file)).batch(64)
        yield from itertools.chain.from_iterable(some.as_numpy_iterator())
    except tf.errors.OpError as error:
        raise DataError(f"{file} is damaged: {error.message}") from None


def _example(record: bytes) -> Any:
    """The features of a record, by name."""
    import tensorflow as tf

    try:
        return tf.train.Example.FromString(record).features.feature
    except Exception:  # An error of protobuf, which is TensorFlow's affair.
        raise DataError("It must be a tf.train.Example") from None


def _count(file: pathlib.Path) -> int:
    """Records of a file, by their lengths alone: their content is not read."""
    place, count, size = 0, 0, file.stat().st_size
    with file.open("rb", buffering=0) as stream:
        while place < size:
            stream.seek(place)
            place += int.from_bytes(stream.read(8), "little") + _AROUND
            count += 1
    if place != size:
        raise DataError(f"{file} is cut off, or no TFRecord file")
    return count


def _class_names(file: pathlib.Path) -> tuple[str, ...]:
    """One a line; none if there is no such file."""
    if not file.is_file():
        return ()
    try:
        lines = file.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"`path` must hold a {file.name} in UTF-8, or none. Received: {error}"
        ) from None
    return tuple(line.strip() for line in lines if line.strip())


def _features(root: pathlib.Path) -> dict[str, Any]:
    """What TensorFlow Datasets wrote of each feature, by name; nothing if it did not.

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
