"""Examples without labels: where they come from, and which batches they are in."""

import itertools

import numpy as np
import pytest
from PIL import Image

from distill import data
from distill.data import augmentation, batches, beside, checks, sidecar
from distill.data.unlabelled import Unlabelled
from distill.runtime import seeds
from distill.runtime.process import distributed

RNG = np.random.default_rng(0)
KNOWN, UNKNOWN, SHAPE = 40, 26, (6, 5, 1)
IMAGES = RNG.integers(0, 256, (KNOWN + UNKNOWN, *SHAPE), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Forty labelled arrays of two classes."""
    home = tmp_path / "labelled"
    home.mkdir()
    np.save(home / "train_x.npy", IMAGES[:KNOWN])
    np.save(home / "train_y.npy", np.arange(KNOWN) % 2)
    return home


def read(folder, **options):
    return data.DATASETS["array_folder"](path=str(folder), **options)


def write(place, form):
    """The other images in one of the forms that `path` may have."""
    place.mkdir()
    if form == "images":
        for row, image in enumerate(IMAGES[KNOWN:]):
            inner = place / f"whatever{row % 3}"
            inner.mkdir(exist_ok=True)
            Image.fromarray(image[..., 0]).save(inner / f"{row:02}.png")
        (place / "readme.txt").touch()
        return place
    path = place / ("train_x.npy" if form == "folder" else "more.npy")
    array = IMAGES[KNOWN:, ..., 0] if form == "grey" else IMAGES[KNOWN:]
    np.save(path, array / np.float32(255) if form == "floats" else array)
    return place if form == "folder" else path


@pytest.mark.parametrize("form", ["images", "folder", "file", "grey", "floats"])
def test_all_forms_are_read_in_the_form_of_the_labelled_images(folder, form, tmp_path):
    path = write(tmp_path / "more", form)
    alone = read(folder).load()
    splits = read(folder, unlabelled=Unlabelled(path=str(path))).load()
    assert (splits.unlabelled.labels == data.UNLABELLED).all()
    found = splits.unlabelled.floats()
    wanted = IMAGES[KNOWN:] / np.float32(255)
    assert found.shape == wanted.shape
    assert {row.tobytes() for row in found} == {row.tobytes() for row in wanted}
    assert splits.fingerprint() != alone.fingerprint()
    assert splits.labelled_alone.fingerprint() == alone.fingerprint()
    for name, part in alone.by_name().items():
        same = splits.by_name()[name]
        np.testing.assert_array_equal(same.inputs[:], part.inputs[:])
        np.testing.assert_array_equal(same.labels, part.labels)


def test_images_on_disk_are_those_in_memory(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = write(tmp_path / "more", "images")
    options = Unlabelled(path=str(path))
    first, second = (options.read((3, 4, 1), on_disk=disk) for disk in (False, True))
    assert not isinstance(second.inputs, np.ndarray)
    np.testing.assert_array_equal(first.inputs, second.inputs[:])
    np.testing.assert_array_equal(first.names, second.names)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (IMAGES[:3, :5], r"must be of shape \(n, 6, 5, 1\)"),
        (IMAGES[:3].astype(np.float32), "floats from 0 to 1; divide by 255"),
        (IMAGES[:3].astype(np.float32) / 127.5 - 1, "add 1 and halve"),
        (IMAGES[:0], "of shape"),
        (IMAGES[:3].astype(np.int64), 'astype\\("uint8"\\)'),
    ],
)
def test_another_size_or_scale_is_refused_in_one_line(folder, array, words, tmp_path):
    np.save(tmp_path / "more.npy", array)
    options = Unlabelled(path=str(tmp_path / "more.npy"))
    with pytest.raises(data.DataError, match=words) as caught:
        read(folder, unlabelled=options).load()
    assert "more.npy" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_images_and_a_broken_image_are_refused(folder, tmp_path):
    place = tmp_path / "more"
    (place / "deep").mkdir(parents=True)
    options = read(folder, unlabelled=Unlabelled(path=str(place)))
    with pytest.raises(data.DataError, match="no image in"):
        options.load()
    (place / "deep" / "a.png").write_bytes(b"no image")
    with pytest.raises(data.DataError, match=r"Cannot read the image .*a\.png"):
        options.load()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "`path` must be given"),
        ({"path": ".", "examples": 3}, "`examples` must be absent beside"),
        ({"path": "nowhere"}, "`path` must be a folder or file that exists"),
        ({"examples": 0}, "`examples` must be at least 1"),
    ],
)
def test_impossible_options_are_refused(given, words):
    with pytest.raises(ValueError, match=words):
        Unlabelled(**given)


def test_left_out_examples_lose_their_labels_and_are_in_no_split(folder):
    few = {"train_examples": 16, "validation_examples": 6}
    alone = read(folder, **few).load()
    splits = read(folder, **few, unlabelled=Unlabelled(examples=9)).load()
    assert splits.labelled_alone.fingerprint() == alone.fingerprint()
    assert len(splits.unlabelled.labels) == 9
    assert (splits.unlabelled.labels == data.UNLABELLED).all()
    names = [n for part in splits.with_unlabelled().values() for n in part.names]
    assert len(set(names)) == len(names)
    # 8 test, 14 training and 6 validation examples of 40 leave 12.
    with pytest.raises(data.DataError, match=r"at most 12, .*Received: 13"):
        read(folder, **few, unlabelled=Unlabelled(examples=13)).load()
    with pytest.raises(ValueError, match=r"`unlabelled\.examples` must be absent with"):
        read(folder, unlabelled=Unlabelled(examples=9))


@pytest.mark.parametrize("left_out", [True, False])
def test_the_file_of_splits_brings_them_back(folder, left_out, tmp_path):
    few = {"train_examples": 16, "unlabelled": Unlabelled(examples=9)}
    if not left_out:
        path = write(tmp_path / "more", "file")
        few = {"unlabelled": Unlabelled(path=str(path))}
    splits = read(folder, **few).load()
    sidecar.write(tmp_path, read(folder), splits)
    file = str(tmp_path / "splits.csv")
    again = read(folder, splits=file, unlabelled=few["unlabelled"]).load()
    assert again.fingerprint() == splits.fingerprint()
    without = read(folder, splits=file).load()
    assert without.fingerprint() == splits.labelled_alone.fingerprint()


def test_what_has_no_label_cannot_be_listed_as_labelled(folder, tmp_path):
    path = write(tmp_path / "more", "file")
    file = tmp_path / "splits.csv"
    file.write_text("split,example\ntrain,train:0\ntrain,unlabelled:3\n")
    options = {"splits": str(file), "unlabelled": Unlabelled(path=str(path))}
    with pytest.raises(data.DataError, match="csv:3: `split` must be unlabelled"):
        read(folder, **options).load()


def test_unlabelled_examples_that_are_measured_on_are_told():
    labels = np.arange(8) % 2
    names = np.array([f"a:{row}" for row in range(8)], object)
    train, validation, test = (
        data.Split(IMAGES[at : at + 8], labels, names) for at in (0, 8, 16)
    )
    more = data.Split(IMAGES[4:20], np.full(16, -1), np.arange(16).astype(object))
    splits = data.Splits(train, validation, test, unlabelled=more)
    (line,) = checks.warnings(splits, ("x", "y"))
    assert "8 of 16 unlabelled examples in validation (4 is a:0)" in line
    assert "4 of 16 unlabelled examples in test (12 is a:0)" in line
    assert not checks.warnings(splits.labelled_alone, ("x", "y"))


TRAIN = data.Split(IMAGES[:KNOWN], np.arange(KNOWN))
MORE = data.Split(IMAGES[KNOWN:], np.full(UNKNOWN, data.UNLABELLED))
SPLITS = data.Splits(TRAIN, TRAIN, TRAIN, unlabelled=MORE)


def source(share, size=8, seed=3, **changes):
    changes = augmentation.Augmentation(**changes)
    return beside.build(SPLITS, share, batch_size=size, seed=seed, augmentation=changes)


def test_a_share_of_1_is_the_training_without():
    plain = batches.Batches(
        TRAIN, batch_size=8, seed=3, augmentation=augmentation.Augmentation(shift=2)
    )
    for step in range(12):
        for a, b in zip(
            source(1.0, shift=2).batch(step), plain.batch(step), strict=True
        ):
            np.testing.assert_array_equal(a, b)
    assert source(1.0).steps_per_epoch == plain.steps_per_epoch


@pytest.mark.parametrize(("share", "count"), [(0.25, 2), (0.5, 4), (0.875, 7), (0, 0)])
def test_every_batch_has_its_share_and_an_epoch_every_labelled_example(share, count):
    mixed, by_pixels = (
        source(share),
        {image.tobytes(): i for i, image in enumerate(IMAGES)},
    )
    seen = []
    for step in range(mixed.steps_per_epoch):
        images, labels = mixed.batch(step)
        assert (labels >= 0).sum() == count
        bytes_again = np.round(images * 255).astype(np.uint8)
        rows = np.array([by_pixels[image.tobytes()] for image in bytes_again])
        known = labels >= 0
        np.testing.assert_array_equal(rows[known], labels[known])  # Each its own.
        assert (rows[~known] >= KNOWN).all()
        seen.append(rows)
    seen = np.concatenate(seen)
    once = seen[seen < KNOWN] if share else seen
    assert len(set(once)) == len(once)
    assert len(once) > (KNOWN if share else UNKNOWN) - (count or 8)


def test_unlabelled_examples_all_come_before_one_comes_again():
    stream = source(0.25).stream()
    images = [
        image.tobytes()
        for inputs, labels in itertools.islice(stream, 13)  # Three passes of 26.
        for image in inputs[labels < 0]
    ]
    for start in range(0, 78, 26):
        assert len(set(images[start : start + 26])) == 26
    assert images[:26] != images[26:52]


def test_a_batch_does_not_depend_on_what_came_before_nor_on_the_rows_asked_for():
    changes = {"shift": 2, "flip": True}
    mixed = source(0.25, **changes)
    streamed = list(itertools.islice(mixed.stream(), 30))
    for step in (29, 0, 7):
        for a, b in zip(
            streamed[step], source(0.25, **changes).batch(step), strict=True
        ):
            np.testing.assert_array_equal(a, b)
        halves = [mixed.batch(step, slice(i, i + 2)) for i in range(0, 8, 2)]
        for whole, parts in zip(streamed[step], zip(*halves, strict=True), strict=True):
            np.testing.assert_array_equal(whole, np.concatenate(parts))
    resumed = next(source(0.25, **changes).stream(7))
    np.testing.assert_array_equal(resumed[0], streamed[7][0])
    assert not np.array_equal(source(0.25, seed=4).batch(7)[1], streamed[7][1])


def test_every_process_gets_its_share(monkeypatch):
    monkeypatch.setattr(distributed, "count", lambda: 2)
    for index in (0, 1):
        monkeypatch.setattr(distributed, "index", lambda index=index: index)
        _, labels = next(source(0.25).stream(5))
        assert list(labels >= 0).count(True) == 1
        assert len(labels) == 4


def test_both_kinds_are_augmented_and_orders_are_not_alike():
    mixed = source(0.5, shift=2, flip=True, variants=2)
    known, unknown = mixed.parts
    plain = source(0.5)
    images, labels = mixed.batch(0)
    for which in (labels >= 0, labels < 0):
        assert not np.array_equal(images[which], plain.batch(0)[0][which])
    assert known.seed == 3
    assert unknown.seed == seeds.seed_of(3, "unlabelled")
