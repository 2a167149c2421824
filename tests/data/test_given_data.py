"""What a program gives is the same data, however it is given; what is wrong is said."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from distill import data
from distill.data import given

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 6, 5, 3), np.uint8)
SHARES = (IMAGES / 255).astype(np.float32)
LABELS = np.arange(40) % 4


def pipeline(images=IMAGES, labels=LABELS):
    return tf.data.Dataset.from_tensor_slices((images, labels))


def of_unknown_rank():
    def read(index):
        return tf.numpy_function(
            lambda i: (IMAGES[i], LABELS[i]), [index], (tf.uint8, tf.int64)
        )

    return tf.data.Dataset.range(40).batch(9).map(read)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        rows = slice(7 * index, 7 * index + 7)
        return IMAGES[rows], LABELS[rows]


class Source:
    """Of random access, and no iterable: as Grain's sources are."""

    def __len__(self):
        return len(LABELS)

    def __getitem__(self, index):
        if not 0 <= index < len(LABELS):
            raise AssertionError("asked beyond its end")
        return IMAGES[index], LABELS[index]


class Endless(Source):
    """As `MapDataset.repeat` of Grain is."""

    def __len__(self):
        return sys.maxsize


class Filtered(Source):
    """As `MapDataset.filter` of Grain is: None by an index, absent from the loop."""

    def __len__(self):
        return 2 * len(LABELS)

    def __getitem__(self, index):
        return None if index % 2 else (IMAGES[index // 2], LABELS[index // 2])

    def __iter__(self):
        return (pair for pair in map(self.__getitem__, range(len(self))) if pair)


def opened(path):
    return data.DATASETS["array_folder"](path=str(path)).load()


def saved(examples, tmp_path):
    return given.save(examples, tmp_path / "given")


@pytest.mark.parametrize(
    "examples",
    [
        pipeline,
        lambda: pipeline().batch(7),
        lambda: pipeline().batch(8, drop_remainder=True),
        lambda: pipeline(labels=LABELS[:, None].astype(np.int32)).batch(9),
        of_unknown_rank,
        Batches,
        Source,
        Filtered,
        lambda: zip(IMAGES, LABELS, strict=True),
        lambda: [(IMAGES[:30], LABELS[:30]), (IMAGES[30:], LABELS[30:])],
        lambda: (tf.constant(IMAGES), tf.constant(LABELS)),
    ],
)
def test_the_same_rows_are_the_same_data_however_they_are_given(examples, tmp_path):
    arrays = saved((IMAGES, LABELS), tmp_path)
    wanted = opened(arrays).fingerprint()
    assert saved(examples(), tmp_path) == arrays
    # Read for the first time, too, and not only found.
    fresh = given.save(examples(), tmp_path / "fresh")
    assert opened(fresh).fingerprint() == wanted


def test_a_pipeline_in_another_order_finds_the_rows_as_they_were_read_first(tmp_path):
    first = saved(pipeline().shuffle(40, seed=1), tmp_path)
    read = opened(first).train.inputs[:]
    again = saved(pipeline().shuffle(40, seed=2).batch(3), tmp_path)
    assert again == first
    np.testing.assert_array_equal(opened(again).train.inputs[:], read)
    swapped = LABELS.copy()
    swapped[:2] = swapped[1::-1]
    assert saved((IMAGES, swapped), tmp_path) != first


def test_given_splits_are_kept_in_their_order_and_others_are_drawn(tmp_path):
    parts = [(IMAGES[rows], LABELS[rows]) for rows in (slice(24), slice(24, 32))]
    parts.append((IMAGES[32:], LABELS[32:]))
    splits = opened(saved(tuple(parts), tmp_path))
    for split, (images, labels) in zip(splits.by_name().values(), parts, strict=True):
        np.testing.assert_array_equal(split.inputs[:], images)
        np.testing.assert_array_equal(split.labels, labels)
    assert list(splits.test.names[:2]) == ["test:0", "test:1"]
    assert not splits.drawn
    alone = opened(saved({"train": (IMAGES, LABELS), "test": parts[2]}, tmp_path))
    assert (len(alone.train.labels), len(alone.validation.labels)) == (36, 4)
    np.testing.assert_array_equal(alone.test.inputs[:], parts[2][0])


def test_what_a_killed_process_left_is_removed(tmp_path):
    left = tmp_path / "given" / ".unfinished-1" / "made"
    left.mkdir(parents=True)
    (left / "train_x.npy").touch()
    path = saved((IMAGES, LABELS), tmp_path)
    assert list((tmp_path / "given").iterdir()) == [path]


def test_names_of_classes_are_kept_and_decide(tmp_path):
    names = ["a", "b b", "c", "d"]
    path = saved({"train": (IMAGES, LABELS), "class_names": names}, tmp_path)
    dataset = data.DATASETS["array_folder"](path=str(path))
    assert dataset.class_names == tuple(names)
    bare = saved((IMAGES, LABELS), tmp_path)
    assert bare != path
    assert data.DATASETS["array_folder"](path=str(bare)).class_names == tuple("0123")


def test_floats_of_64_bits_and_grey_images_of_two_axes_are_accepted(tmp_path):
    grey = SHARES[..., 0]
    path = saved((grey.astype(np.float64), LABELS), tmp_path)
    assert saved((grey, LABELS), tmp_path) == path
    assert data.DATASETS["array_folder"](path=str(path)).input_shape == (6, 5, 1)


def with_nan():
    images = SHARES.copy()
    images[3, 0, 0, 0] = np.nan
    return images


def one_hot_of_open_size():
    """Examples that would look like batches of four but for their specification."""
    return tf.data.Dataset.from_generator(
        lambda: zip(IMAGES[:, :4], np.eye(4, dtype=int)[LABELS], strict=True),
        output_signature=(
            tf.TensorSpec((None, 5, 3), tf.uint8),
            tf.TensorSpec((4,), tf.int64),
        ),
    )


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ((IMAGES, LABELS + 1), "y of train must be labels from 0 to 3; subtract 1"),
        ((IMAGES, np.eye(4)[LABELS]), "y of train must be one number .* argmax"),
        ((IMAGES, LABELS.astype(str)), "y of train must be numbers. Received: <U"),
        ((IMAGES, LABELS[:9]), "as many labels as images"),
        ((255 * SHARES, LABELS), "floats from 0 to 1; divide by 255"),
        ((with_nan(), LABELS), "finite numbers. Received: 1 .* row 3"),
        ((IMAGES[:, 0, 0], LABELS), r"images \(n, height, width, channels\)"),
        (((IMAGES, LABELS), (IMAGES, LABELS)), "Received: a tuple of 2"),
        ({"trian": (IMAGES, LABELS)}, "must have train.* Received: trian"),
        ({"train": (IMAGES, LABELS), "class_names": "ab"}, "labels from 0 to 1"),
        (
            ((IMAGES, LABELS), None, (IMAGES[:, :4], LABELS)),
            "x of test must be of shape",
        ),
        (IMAGES, r"class_names.* in place of pairs \(x, y\)"),
        (5, "train must be arrays .* Received: int"),
        ([], "There is no train example"),
        ([(IMAGES[0], 1), (IMAGES[0, :3], 1)], r"uint8 \(6, 5, 3\), then uint8 \(3"),
        ([(IMAGES[:9], LABELS[:9]), (IMAGES[9:], LABELS[10:])], "as many labels as"),
        ([(IMAGES[:9], LABELS[:9]), (IMAGES[9:], LABELS[9:, None])], "of one shape"),
        ([({"image": IMAGES[0]}, 1)], "x of train must be numbers"),
        ([IMAGES[0]], r"class_names.* in place of pairs \(x, y\)"),
        ([(IMAGES[0], 1), IMAGES[1]], "labels for all images, or for none"),
        ([(IMAGES[0], 1, 1.0)], "Received: a tuple of 3"),
        (pipeline().repeat(), "must end. Received: an infinite"),
        (Endless(), "must end. Received: an infinite"),
        (one_hot_of_open_size, "y of train must be one number .* argmax"),
    ],
)
def test_what_would_be_read_wrongly_is_refused_in_one_line(examples, message, tmp_path):
    examples = examples() if callable(examples) else examples
    with pytest.raises(data.DataError, match=message) as caught:
        saved(examples, tmp_path)
    assert len(str(caught.value).splitlines()) == 1
    assert not list((tmp_path / "given").glob("*"))


def test_an_error_of_the_programs_own_pipeline_stays_what_it_is(tmp_path):
    def examples():
        yield IMAGES[0], 0
        (tmp_path / "cat.jpg").read_bytes()

    with pytest.raises(FileNotFoundError, match=r"cat\.jpg"):
        saved(examples(), tmp_path)


def test_an_archive_is_no_array(tmp_path):
    with (tmp_path / "train_x.npy").open("wb") as file:
        np.savez(file, IMAGES)
    with pytest.raises(ValueError, match=r"train_x\.npy must be"):
        data.DATASETS["array_folder"](path=str(tmp_path))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "train_x.npy must be a .npy file"),
        ({"train_x": IMAGES}, "train_y.npy"),
        ({"train_x": IMAGES, "train_y": LABELS * 0}, "at least two classes"),
        ({"train_x": IMAGES[0, 0], "train_y": LABELS[:5]}, "images of shape"),
        ({"train_x": np.array([None]), "train_y": LABELS}, "train_x.npy must be"),
    ],
)
def test_a_folder_without_arrays_is_no_option(files, message, tmp_path):
    for name, array in files.items():
        np.save(tmp_path / f"{name}.npy", array)
    with pytest.raises(ValueError, match=message):
        data.DATASETS["array_folder"](path=str(tmp_path))
