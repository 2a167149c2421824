"""Three disjoint splits, stratified by class, the same in every run."""

import collections
import dataclasses
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from distill import data
from distill.data import augmentation, batches, memmap
from distill.runtime import errors

RNG = np.random.default_rng(0)


def rows(split):
    return [image.tobytes() for image in split.inputs]


def archive(folder, name="mnist", train=120, test=20, shape=(28, 28)):
    np.savez(
        folder / f"{name}.npz",
        x_train=RNG.integers(0, 256, (train, *shape), dtype=np.uint8),
        y_train=np.arange(train, dtype=np.uint8) % 10,
        x_test=RNG.integers(0, 256, (test, *shape), dtype=np.uint8),
        y_test=np.arange(test, dtype=np.uint8) % 10,
    )
    return data.DATASETS[name]


def test_splits_of_digits_are_disjoint_and_complete():
    splits = data.DATASETS["digits"]().load()
    parts = [splits.train, splits.validation, splits.test]
    assert sum(len(part.labels) for part in parts) == 1797
    together = [row for part in parts for row in rows(part)]
    everything = rows(data.DATASETS["digits"]()._examples().train)
    assert sorted(together) == sorted(everything)
    for part in parts:
        images = part.floats()
        assert images.dtype == np.float32
        assert images.min() == 0
        assert images.max() == 1


@pytest.mark.parametrize(
    ("labels", "share"),
    [([0, 0, 0, 1, 1, 1, 2, 2, 2], 0.2), ([0, 1, 1, 1, 2, 2], 0.5)],
)
def test_too_few_examples_of_a_class_are_told_in_words_of_the_config(labels, share):
    split = data.Split(np.zeros((len(labels), 2), np.float32), np.array(labels))
    given = data.DATASETS["digits"](test_fraction=share)
    with pytest.raises(errors.DataError) as caught:
        given._draw(split, "test_fraction", share)
    text = (
        f"`test_fraction` = {share} cannot be drawn from {len(labels)} examples of 3 "
    )
    text += (
        f"classes, of which the smallest has {labels.count(0)}: each class needs two"
    )
    assert text in str(caught.value)
    assert "test_size" not in str(caught.value)


def test_train_examples_are_drawn_by_class_and_seed():
    make = data.DATASETS["digits"]
    options = {"train_examples": 200, "validation_fraction": 0.25}
    splits = make(**options).load()
    assert len(splits.train.labels) == 150
    assert len(splits.validation.labels) == 50
    assert np.ptp(np.bincount(splits.train.labels)) <= 2
    assert make(**options).load().fingerprint() == splits.fingerprint()
    other = make(**options, split_seed=1).load()
    assert other.fingerprint() != splits.fingerprint()


def test_validation_may_use_examples_that_training_leaves_out():
    make = data.DATASETS["digits"]
    few = make(train_examples=200).load()
    more = make(train_examples=200, validation_examples=700).load()
    for name in ("train", "test"):
        assert rows(getattr(few, name)) == rows(getattr(more, name))
    assert set(rows(few.validation)) < set(rows(more.validation))
    assert len(more.validation.labels) == 700
    assert np.ptp(np.bincount(more.validation.labels)) <= 7
    whole = [set(rows(part)) for part in (more.train, more.validation, more.test)]
    assert not whole[0] & whole[1] and not whole[1] & whole[2]
    most = len(make().load().train.labels) + len(make().load().validation.labels) - 180
    every = make(train_examples=200, validation_examples=most).load()
    assert len(every.validation.labels) == most


@pytest.mark.parametrize("expected", [20, 1258 + 1])
def test_a_validation_split_that_is_too_large_is_refused(expected):
    part = data.DATASETS["digits"](train_examples=200, validation_examples=expected)
    with pytest.raises(errors.DataError, match=r"above 20.* at most 1257.*Received"):
        part.load()


def by_class(*sizes):
    """Examples as they are often read: class by class; each is its own number."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return data.Split(np.arange(len(labels))[:, None], labels)


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_a_sample_has_its_share_of_every_class(kind):
    split = by_class(500, 300, 200)
    if kind == "disk":
        split = data.Split(memmap.Rows(split.inputs), split.labels)
    actual = split.sample(100, seed=3)
    assert np.bincount(actual.labels).tolist() == [50, 30, 20]
    numbers = actual.inputs[:].ravel()
    assert (split.labels[numbers] == actual.labels).all()
    assert (np.diff(numbers) > 0).all()


def test_a_rare_class_is_in_a_sample_too():
    labels = by_class(990, 1, 9).sample(12, seed=0).labels
    assert np.bincount(labels, minlength=3).min() >= 1
    assert len(set(by_class(9, 9, 9).sample(2, seed=0).labels)) == 2


def test_a_sample_is_drawn_by_its_seed_and_is_all_where_there_are_no_more():
    split = by_class(40, 40)
    samples = [split.sample(20, seed).inputs.ravel().tolist() for seed in (1, 1, 2)]
    assert samples[0] == samples[1] != samples[2]
    assert samples[0] != list(range(10)) + list(range(40, 50))
    everything = split.sample(80, seed=1).inputs
    assert np.array_equal(everything, split.inputs)
    assert np.array_equal(split.sample(200, seed=1).inputs, split.inputs)


def test_the_test_split_does_not_depend_on_how_much_is_trained_on():
    make = data.DATASETS["digits"]
    few, all_splits = make(train_examples=100).load(), make().load()
    assert rows(few.test) == rows(all_splits.test)


def test_a_test_split_of_its_own_is_kept_whole(tmp_path):
    splits = archive(tmp_path)(folder=str(tmp_path)).load()
    with np.load(tmp_path / "mnist.npz") as arrays:
        assert rows(splits.test) == [image.tobytes() for image in arrays["x_test"]]
    assert splits.test.inputs.shape == (20, 28, 28, 1)
    assert len(splits.train.labels) + len(splits.validation.labels) == 120


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_an_archive_is_resized_after_its_splits_are_drawn(name, tmp_path):
    shape = data.DATASETS[name].image_shape
    kind = archive(tmp_path, name, shape=shape)
    plain = kind(folder=str(tmp_path)).load()
    dataset = kind(folder=str(tmp_path), size=(9, 14))
    assert dataset.input_shape == (9, 14, shape[-1])
    splits = dataset.load()
    assert splits.test.inputs.shape == (20, 9, 14, shape[-1])
    assert splits.test.inputs.dtype == np.uint8
    np.testing.assert_array_equal(splits.train.labels, plain.train.labels)
    same = kind(folder=str(tmp_path), size=shape[:2]).load()
    assert same.fingerprint() == plain.fingerprint()
    with pytest.raises(ValueError, match=r"`size` must be .*\[9\]"):
        kind(folder=str(tmp_path), size=(9,))


def test_an_environment_variable_may_name_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DISTILL_DATA", str(tmp_path))
    assert len(archive(tmp_path)().load().test.labels) == 20


def test_the_error_of_a_failed_download_says_where_to_put_the_set(monkeypatch):
    import keras

    def no_network(**_):
        raise OSError("no route to host\nmore")

    monkeypatch.delenv("DISTILL_DATA", raising=False)
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", no_network)
    with pytest.raises(
        errors.DataError, match=r"no route to host.*DISTILL_DATA"
    ) as excinfo:
        data.DATASETS["cifar10"]().load()
    assert "\n" not in str(excinfo.value)


def test_a_download_that_is_not_the_published_set_is_refused(monkeypatch):
    import keras

    pair = np.zeros((3, 28, 28), np.uint8), np.zeros(3, np.uint8)
    monkeypatch.delenv("DISTILL_DATA", raising=False)
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: (pair, pair))
    with pytest.raises(errors.DataError, match="not the published set"):
        data.DATASETS["mnist"]().load()


def test_a_file_that_is_not_an_archive_is_refused(tmp_path):
    (tmp_path / "mnist.npz").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(errors.DataError, match=r"mnist\.npz must be"):
        data.DATASETS["mnist"](folder=str(tmp_path)).load()


@pytest.mark.parametrize(
    "options",
    [
        {"validation_fraction": 0.0},
        {"test_fraction": 1.0},
        {"train_examples": 19},
        {"validation_examples": 100},
        {"split_seed": -1},
    ],
)
def test_splits_that_cannot_be_drawn_are_refused_by_name(options):
    with pytest.raises(ValueError, match=f"`{next(iter(options))}` must be"):
        data.DATASETS["digits"](**options)


Usage = collections.namedtuple("Usage", "free")


def pictures(root, count=6):
    for label, name in enumerate(["cat", "dog"]):
        (root / name).mkdir(parents=True)
        for index in range(count):
            image = np.full((4 + index, 5, 3), 100 * label + index, np.uint8)
            Image.fromarray(image).save(root / name / f"{index}.png")


def test_a_folder_of_images_by_class(tmp_path):
    pictures(tmp_path)
    dataset = data.DATASETS["image_folder"](path=str(tmp_path), size=(6, 7), channels=1)
    dataset = dataclasses.replace(dataset, validation_fraction=0.3, test_fraction=0.2)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.input_shape == (6, 7, 1)
    splits = dataset.load()
    parts = [splits.train, splits.validation, splits.test]
    assert sum(len(part.labels) for part in parts) == 12
    for part in parts:
        bright = part.inputs.mean((1, 2, 3)) >= 100
        np.testing.assert_array_equal(bright, part.labels == 1)


BROKEN = {
    "text": b"no image",
    "empty": b"",
    "cut": None,
    "gif": b"GIF89a" + bytes(60),
}


def write_broken_image(folder, kind):
    content = BROKEN[kind]
    if content is None:
        content = (folder / "5.png").read_bytes()[:45]
    (folder / f"{kind}.png").write_bytes(content)


@pytest.mark.parametrize("kind", BROKEN)
def test_a_corrupt_image_is_named(kind, tmp_path):
    pictures(tmp_path)
    write_broken_image(tmp_path / "dog", kind)
    dataset = data.DATASETS["image_folder"](path=str(tmp_path), size=(4, 4))
    with pytest.raises(errors.DataError, match=rf"dog/{kind}\.png"):
        dataset.load()


def test_corrupt_images_are_left_out_up_to_the_limit_and_counted(tmp_path, monkeypatch):
    pictures(tmp_path, count=20)
    for kind in BROKEN:
        write_broken_image(tmp_path / "dog", kind)
    output = []
    monkeypatch.setattr("distill.runtime.progress.say", output.append)
    dataset = data.DATASETS["image_folder"](
        path=str(tmp_path), size=(4, 4), max_bad_images=4
    )
    splits = dataset.load()
    parts = (splits.train, splits.validation, splits.test)
    assert sum(len(part.labels) for part in parts) == 40
    assert [line for line in output if "left out 4 images" in line]
    assert sum("left out: Cannot read" in line for line in output) == 4
    with pytest.raises(errors.DataError, match="max_bad_images"):
        dataclasses.replace(dataset, max_bad_images=3).load()


@pytest.fixture
def on_disk(tmp_path, monkeypatch):
    pictures(tmp_path / "set", count=20)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return data.DATASETS["image_folder"](
        path=str(tmp_path / "set"), size=(4, 4), on_disk=True
    )


def test_images_on_disk_are_the_images_in_memory(on_disk):
    here = dataclasses.replace(on_disk, on_disk=False).load()
    there = on_disk.load()
    assert there.fingerprint() == here.fingerprint()
    assert not isinstance(there.train.inputs, np.ndarray)
    for one, other in zip(
        *(
            batches.Batches(
                splits.train,
                batch_size=7,
                seed=0,
                augmentation=augmentation.Augmentation(shift=1),
            ).batch(3)
            for splits in (here, there)
        ),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_images_on_disk_are_decoded_once_and_again_when_one_has_changed(
    on_disk, monkeypatch
):
    before = on_disk.load().fingerprint()
    decoded = []
    decode = type(on_disk)._pixels

    def record_decode(self, file):
        decoded.append(file)
        return decode(self, file)

    monkeypatch.setattr(type(on_disk), "_pixels", record_decode)
    assert on_disk.load().fingerprint() == before
    assert not decoded
    Image.new("RGB", (9, 9)).save(pathlib.Path(on_disk.path) / "cat" / "3.png")
    assert on_disk.load().fingerprint() != before
    assert len(decoded) == 40


def test_images_on_disk_have_the_current_labels_of_the_folder(on_disk):
    """Also of a split whose own files are as they were."""
    root = pathlib.Path(on_disk.path)
    for part in ("train", "test"):
        pictures(root.parent / "split" / part)
    dataset = dataclasses.replace(
        on_disk, path=str(root.parent / "split"), validation_fraction=0.3
    )
    assert dataset.load().test.labels.tolist() == [0] * 6 + [1] * 6
    new = root.parent / "split" / "train" / "ant"
    new.mkdir()
    for index in range(6):
        image = Image.new("RGB", (5, 5), (index, 0, 255))
        image.save(new / f"{index}.png")
    splits = dataset.load()
    assert dataset.class_names == ("ant", "cat", "dog")
    assert splits.test.labels.tolist() == [1] * 6 + [2] * 6
    assert splits.warnings[0].startswith("No test example is of ant:")
    in_memory = dataclasses.replace(dataset, on_disk=False).load()
    assert splits.fingerprint() == in_memory.fingerprint()
    assert list(splits.train.names) == list(in_memory.train.names)


def test_images_on_disk_are_left_out_up_to_the_limit(on_disk, tmp_path):
    write_broken_image(pathlib.Path(on_disk.path) / "dog", "text")
    splits = dataclasses.replace(on_disk, max_bad_images=1).load()
    parts = (splits.train, splits.validation, splits.test)
    assert sum(len(part.inputs) for part in parts) == 40
    with pytest.raises(errors.DataError, match="max_bad_images"):
        on_disk.load()
    assert len(list((tmp_path / "cache" / "distill").iterdir())) == 1


def test_too_little_disk_space_is_an_error_before_decoding(on_disk, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(free=1919))
    with pytest.raises(errors.DataError, match="XDG_CACHE_HOME"):
        on_disk.load()
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(free=1920))
    on_disk.load()  # 40 images of 4 x 4 x 3 bytes.


@pytest.mark.parametrize("name", ["fashion_mnist", "mnist"])
def test_the_real_set_has_the_published_digest(name, monkeypatch):
    folder = os.environ.get("DISTILL_DATA", "")
    if not os.path.isfile(os.path.join(folder, f"{name}.npz")):
        pytest.skip(f"DISTILL_DATA names no folder with {name}.npz")
    splits = data.DATASETS[name]().load()
    assert len(splits.test.labels) == 10_000
    from distill.data.sets import archives

    arrays = archives._read_archive(data.DATASETS[name]()._file(folder))
    assert archives._digest(arrays) == data.DATASETS[name].digest
