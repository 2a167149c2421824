"""The examples of each split are listed, can be given, and repeats are reported."""

import csv
import dataclasses
import io
import json
import os
import pathlib
import time

import numpy as np
import pytest
from PIL import Image

from distill import config, data
from distill.config import lessons
from distill.data import checks, split_file

RNG = np.random.default_rng(0)


def digits(**options):
    return data.DATASETS["digits"](**options)


def write_splits(path, splits):
    path.write_bytes(split_file.content(splits))
    return str(path)


@pytest.fixture
def folder(tmp_path):
    for split, count in {"train": 12, "test": 4}.items():
        for name in ("cat", "dog,\n", "ähm"):
            (tmp_path / "set" / split / name).mkdir(parents=True)
            for index in range(count):
                image = Image.fromarray(RNG.integers(0, 256, (4, 4), np.uint8))
                image.save(tmp_path / "set" / split / name / f"{index}.png")
    return data.DATASETS["image_folder"](
        path=str(tmp_path / "set"), size=(4, 4), validation_fraction=0.25
    )


def test_the_written_file_gives_the_same_splits_again(tmp_path, folder):
    for dataset in (digits(train_examples=200), folder):
        splits = dataset.load()
        path = write_splits(tmp_path / "splits.csv", splits)
        options = {"splits": path, "split_seed": 7, "train_examples": None}
        again = dataclasses.replace(dataset, **options).load()
        assert again.fingerprint() == splits.fingerprint()
        assert split_file.content(again) == split_file.content(splits)


def test_every_example_is_listed_once_under_its_name(folder):
    rows = list(csv.reader(io.StringIO(split_file.content(folder.load()).decode())))
    assert rows[0] == ["split", "example"]
    files = {file.relative_to(folder.path).as_posix() for file in _files(folder.path)}
    assert {name for _, name in rows[1:]} == files
    assert len(rows) == 1 + len(files)
    for split, part in folder.load().by_name().items():
        for name, image, label in zip(
            part.names, part.inputs, part.labels, strict=True
        ):
            assert name.split("/")[1] == folder.class_names[label]
            with Image.open(f"{folder.path}/{name}") as picture:
                np.testing.assert_array_equal(image[..., 0], np.asarray(picture))
            assert name.startswith("test") == (split == "test")


def _files(path):
    return pathlib.Path(path).rglob("*.png")


def test_a_file_moves_examples_between_splits_on_disk_too(
    tmp_path, folder, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    splits = folder.load()
    swapped = dataclasses.replace(splits, train=splits.test, test=splits.train)
    path = write_splits(tmp_path / "a.csv", swapped)
    for on_disk in (False, True):
        dataset = dataclasses.replace(folder, splits=path, on_disk=on_disk).load()
        assert split_file.content(dataset) == split_file.content(swapped)
        assert dataset.fingerprint() == swapped.fingerprint()


def test_a_split_that_a_file_does_not_list_is_drawn(tmp_path, monkeypatch):
    output = []
    monkeypatch.setattr("distill.runtime.progress.say", output.append)
    lines = ["split,example", *(f"train,{row}" for row in range(500))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    splits = digits(splits=str(tmp_path / "a.csv")).load()
    assert splits.drawn
    together = [int(n) for part in splits.by_name().values() for n in part.names]
    assert sorted(together) == list(range(500))
    assert "left out 1,297 examples" in output[0]
    lines += [f"test,{row}" for row in reversed(range(500, 600))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    splits = digits(splits=str(tmp_path / "a.csv")).load()
    assert not splits.drawn
    assert [int(name) for name in splits.test.names] == list(range(500, 600))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("split,example\ntrain,1\ntrain,1\n", "a.csv:3: `example` must .* '1'"),
        ("split,example\ntrain,cat.png\n", "a.csv:2: `example` must .* 'cat.png'"),
        ("split,example\ndev,1\n", "a.csv:2: `split` must be one of train, .* 'dev'"),
        ("split,example\ntest,1\n", "must name training examples. Received: none"),
        ("split,file\ntrain,1\n", "a.csv:1: the header must name the column `example`"),
        ("split,example\ntrain,1\n", "training examples. Received: none of 0, 2, 3"),
        ("", "a.csv:1: the header"),
    ],
)
def test_a_wrong_file_of_splits_is_refused_in_one_line(content, message, tmp_path):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(data.DataError, match=message) as excinfo:
        digits(splits=str(tmp_path / "a.csv")).load()
    assert "\n" not in str(excinfo.value)


def test_a_missing_file_of_splits_is_refused_with_the_config():
    with pytest.raises(ValueError, match="`splits` must be a file that exists"):
        digits(splits="/nowhere.csv")


def split(inputs, name):
    names = np.array([f"{name}:{row}" for row in range(len(inputs))], object)
    return data.Split(inputs, np.arange(len(inputs)) % 2, names)


@pytest.mark.parametrize("kind", [np.uint8, np.float32, object])
def test_the_same_example_in_two_splits_is_counted_and_named(kind):
    images = np.arange(9 * 12).reshape(9, 2, 2, 3).astype(np.uint8)
    if kind is object:
        images = np.array([f"text {row}" for row in range(9)], object)
    images = images.astype(kind)
    parts = {
        "train": split(images[:5], "a"),
        "validation": split(images[[5, 6, 3]], "b"),
        "test": split(images[[7, 2, 4, 2, 6]], "c"),
    }
    (line,) = checks.warnings(data.Splits(**parts), ("x", "y"))
    assert "1 of 3 validation examples in train (b:2 is a:3)" in line
    assert "3 of 5 test examples in train (c:1 is a:2)" in line
    assert "1 of 5 test examples in validation (c:4 is b:1)" in line
    parts["test"] = split(images[7:], "c")
    parts["validation"] = split(images[5:7], "b")
    assert not checks.warnings(data.Splits(**parts), ("x", "y"))


def test_digits_has_no_repeated_example():
    assert digits().load().warnings == ()


def test_a_drawn_test_split_is_a_warning_with_pretrained_networks(
    tmp_path, monkeypatch
):
    file = tmp_path / "mine.keras"
    file.write_bytes(b"")
    network = {"name": "keras_file", "options": {"path": str(file)}}
    overrides = [
        f"teacher={{file: {file}}}",
        f"co_teachers=[{{file: {file}}}]",
        f"student={json.dumps(network)}",
        "finish=[]",
    ]
    run = config.load("kd_resnet.yaml", overrides)
    assert lessons.pretrained_names(run) == ["teacher", "teacher2", "student"]
    assert lessons.pretrained_names(config.load("kd_resnet.yaml")) == []
    output = []
    monkeypatch.setattr("distill.runtime.progress.say", output.append)
    (line,) = data.read(run.data, lessons.pretrained_names(run)).warnings
    assert "trained elsewhere (teacher, teacher2, student)" in line
    assert f"    warning: {line}" in output
    assert not data.read(run.data).warnings
    path = write_splits(tmp_path / "splits.csv", run.data.load())
    known = dataclasses.replace(
        run.data, splits=path, train_examples=None, validation_examples=None
    )
    assert not data.read(known, lessons.pretrained_names(run)).warnings


@pytest.mark.parametrize(
    "names",
    [
        ("cat", "Cat"),
        ("cat", " cat\t"),
        ("hot dog", "hot  Dog"),
        ("1", "1.0"),
        ("1", "01"),
        ("straße", "STRASSE"),
        ("é", "e\N{COMBINING ACUTE ACCENT}"),
    ],
)
def test_names_that_look_alike_are_found(names):
    for pair in (names, names[::-1]):
        assert checks.find_alike(["other", *pair]).startswith(
            f"{pair[0]!r} and {pair[1]!r}"
        )


def test_different_names_are_not_found_alike():
    apart = (
        "10",
        "1_0",
        "-1",
        "1",
        "nan",
        "inf",
        "1e1",
        "hotdog",
        "hot dog",
        "C",
        "C++",
    )
    assert not checks.find_alike([*apart, "12345678901234567", "12345678901234568"])


def test_labels_out_of_range_are_refused():
    for wrong in (-1, 2):
        part = data.Split(np.zeros((3, 2)), np.array([0, 1, wrong]))
        with pytest.raises(data.DataError, match="from 0 to 1"):
            checks.check({"train": part}, ("x", "y"))
    whole = data.Split(np.zeros((3, 2)), np.array([0, 1, 1]))
    with pytest.raises(data.DataError, match="no test example"):
        checks.check({"train": whole, "test": whole.take(slice(0))}, ("x", "y"))


def test_fashion_mnist_is_searched_for_repeats_in_seconds():
    folder = os.environ.get("DISTILL_DATA", "")
    if not os.path.isfile(os.path.join(folder, "fashion_mnist.npz")):
        pytest.skip("DISTILL_DATA names no folder with fashion_mnist.npz")
    splits = data.DATASETS["fashion_mnist"]().load()
    began = time.process_time()
    checks.warnings(splits, data.DATASETS["fashion_mnist"].class_names)
    assert time.process_time() - began < 5
