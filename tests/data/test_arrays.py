"""Arrays of users are accepted or refused in one line that says how to fix them."""

import re

import numpy as np
import pytest

from distill import data

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (60, 28, 28), np.uint8)
SHARES = (BYTES / 255).astype(np.float32)
LABELS = np.arange(60) % 10


def load(folder, **changed):
    entries = {"x_train": BYTES, "y_train": LABELS}
    entries |= {"x_test": 255 - BYTES[:10], "y_test": LABELS[:10], **changed}
    arrays = {name: array for name, array in entries.items() if array is not None}
    np.savez(folder / "mnist.npz", **arrays)
    make = data.DATASETS["mnist"]
    return make(folder=str(folder), validation_fraction=0.5).load()


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, ">f4"])
def test_floats_from_0_to_1_are_accepted_and_resized(kind, tmp_path):
    images = SHARES.astype(kind)
    splits = load(tmp_path, x_train=images, x_test=1 - images[:10])
    expected = (1 - images[:10]).astype(np.float32)[..., None]
    np.testing.assert_array_equal(splits.test.floats(), expected)
    for shape, grey in (((32, 32, 3), False), ((28, 28, 1), True)):
        flat = np.full((20, *shape), 0.25, kind)
        flat[10:] = 0.75
        name = "mnist" if grey else "cifar10"
        rest = {"y_train": LABELS[:20], "x_test": flat, "y_test": LABELS[:20]}
        np.savez(tmp_path / f"{name}.npz", x_train=flat, **rest)
        dataset = data.DATASETS[name](
            folder=str(tmp_path), size=(5, 9), validation_fraction=0.5
        )
        test = dataset.load().test.floats()
        assert test.shape == (20, 5, 9, shape[-1])
        assert set(np.unique(test)) == {np.float32(0.25), np.float32(0.75)}


@pytest.mark.parametrize("kind", [np.int16, np.uint8, np.uint64])
@pytest.mark.parametrize("shape", [(60,), (60, 1)])
def test_labels_may_be_a_column_of_any_whole_numbers(kind, shape, tmp_path):
    splits = load(tmp_path, y_train=LABELS.astype(kind).reshape(shape))
    assert splits.train.labels.dtype == np.int64
    assert splits.train.labels.shape == (30,)


def with_nan(value):
    images = SHARES.copy()
    images[3, 4, 5] = value
    return images


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x_train": BYTES.astype(np.float32)}, "divide by 255. Received: float32 fr"),
        ({"x_test": BYTES[:10] * 257.0}, "x_test must be uint8, or floats .* of white"),
        ({"x_train": SHARES * 16}, "0 to 1; divide by the value of white"),
        ({"x_train": SHARES * 2 - 1}, "add 1 and halve"),
        ({"x_train": (SHARES - 0.3) / 0.2}, "from 0 to 1. Received: float32 from -1.5"),
        ({"x_train": SHARES / 255}, "divided by 255 twice"),
        ({"x_train": BYTES // 128}, "multiply by 255. Received: uint8 from 0 to 1"),
        ({"x_train": BYTES.astype(np.int64)}, r'astype\("uint8"\). Received: int64'),
        ({"x_train": BYTES.astype(np.uint16) * 257}, "shift right by 8, then astype"),
        ({"x_train": BYTES > 9}, "Received: bool"),
        ({"x_train": BYTES.astype("S3")}, r"Received: \|S3"),
        ({"x_train": with_nan(np.nan)}, "finite .* 1 that are not, the first in row 3"),
        ({"x_train": with_nan(-np.inf)}, "finite numbers"),
        ({"x_train": BYTES.reshape(60, 784)}, r"of shape .*\(n, 28, 28\). .*\(60, 784"),
        ({"x_train": BYTES[:, None]}, r"Received: shape \(60, 1, 28, 28\)"),
        ({"x_train": BYTES[:0], "y_train": LABELS[:0]}, r"shape \(0, 28, 28\)"),
        ({"x_train": np.uint8(3)}, r"Received: shape \(\)"),
        ({"x_test": SHARES[:10]}, "must be uint8, as x_train is. Received: float32"),
        ({"y_train": LABELS + 1}, "subtract 1. Received: 1 to 10"),
        ({"y_train": LABELS - 1}, "add 1. Received: -1 to 8"),
        ({"y_test": LABELS[:10] * 2}, "y_test must be labels from 0 to 9. .*0 to 18"),
        ({"y_train": LABELS // 5 * 5}, "Received: none of 1, 2, 3, 4, 6 and 3 more"),
        ({"y_train": LABELS.astype(float)}, r'astype\("int64"\). Received: float64'),
        ({"y_train": LABELS.astype(str)}, "whole numbers"),
        ({"y_train": np.eye(10)[LABELS]}, "argmax"),
        ({"y_train": LABELS[:50]}, "one label for each of 60 images"),
        ({"y_train": None}, "must be an .npz file with x_train, y_train, .*y_train"),
        ({"y_train": np.array([None] * 60)}, "without pickles"),
    ],
)
def test_a_wrong_array_is_refused_in_one_line(changed, message, tmp_path):
    with pytest.raises(data.DataError, match=message) as excinfo:
        load(tmp_path, **changed)
    assert "\n" not in str(excinfo.value)
    assert re.search(r"mnist\.npz|training examples", str(excinfo.value))


@pytest.mark.parametrize("place", [0.3, 0.6, 0.99])
def test_a_truncated_or_corrupt_archive_is_refused_in_one_line(place, tmp_path):
    load(tmp_path)
    path = tmp_path / "mnist.npz"
    content = path.read_bytes()
    at = int(len(content) * place)
    for damaged in (content[:at], content[:at] + b"spoilt" + content[at + 6 :]):
        path.write_bytes(damaged)
        with pytest.raises(data.DataError, match=r"mnist\.npz") as excinfo:
            data.DATASETS["mnist"](folder=str(tmp_path)).load()
        assert "\n" not in str(excinfo.value)
