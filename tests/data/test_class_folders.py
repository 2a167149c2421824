"""Folders are splits, classes or ignored; ambiguous ones are refused by name."""

import numpy as np
import pytest
from PIL import Image

from distill import data
from distill.data.sets import class_folders

RNG = np.random.default_rng(0)


def fill(root, *folders, count=6):
    for folder in folders:
        (root / folder).mkdir(parents=True)
        for index in range(count):
            image = Image.fromarray(RNG.integers(0, 256, (4, 4), np.uint8))
            image.save(root / folder / f"{index}.png")
    return root


def of(root, **options):
    shared = {"size": (4, 4), "validation_fraction": 0.25} | options
    return data.DATASETS["image_folder"](path=str(root), **shared)


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", "test"),
        ("training", "validation", "testing"),
        ("Train", "valid", "TEST"),
        ("train", None, "test"),
        ("train", "val", None),
        ("training", None, None),
    ],
)
def test_folders_named_for_splits_are_the_splits(train, validation, test, tmp_path):
    folders = {"train": train, "validation": validation, "test": test}
    there = [name for name in folders.values() if name]
    fill(tmp_path, *(f"{name}/{kind}" for name in there for kind in ("cat", "dog")))
    dataset = of(tmp_path, test_fraction=0.25)
    assert dataset.class_names == ("cat", "dog")
    splits = dataset.load()
    for split, name in folders.items():
        part = getattr(splits, split)
        assert all(one.startswith(f"{name or train}/") for one in part.names)
        if name and split != "train":
            assert len(part.labels) == 12
    assert splits.drawn == (test is None)
    assert sum(len(part.labels) for part in splits.by_name().values()) == 12 * len(
        there
    )


def test_a_split_without_folders_in_it_is_a_class(tmp_path):
    """Trains and buses, valid and invalid: these are words of their own."""
    fill(tmp_path / "a", "train", "bus")
    fill(tmp_path / "b", "valid", "invalid")
    assert of(tmp_path / "a").class_names == ("bus", "train")
    assert of(tmp_path / "b").class_names == ("invalid", "valid")


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["train/cat", "train/dog", "test"], "class folders in test. Received: none"),
        (["train", "test"], "one folder `train` with class folders"),
        (["cat", "dog", "test"], "one folder `train` .* Received: none"),
        (["val/cat", "val/dog", "test/cat"], "one folder `train` .* Received: none"),
        (["train/cat", "train/dog", "extra"], "Received: extra beside it"),
        (["train/cat", "train/dog", "valid"], "Received: valid beside it"),
        (["train/cat", "Train/cat", "train/dog"], "Received: Train, train in"),
        (["train/cat", "train/dog", "test/cat", "test/eel"], "eel, in test alone"),
        (["train/cat", "train/dog", "val/Cat"], "Cat, in validation alone"),
        (["cat", "Cat"], "'Cat' and 'cat', different only in"),
        (["cat"], "at least two classes"),
        (["cat", ".hidden"], "at least two classes"),
    ],
)
def test_an_ambiguous_folder_is_refused_with_the_config(folders, message, tmp_path):
    fill(tmp_path, *folders, count=1)
    with pytest.raises(ValueError, match=message) as excinfo:
        of(tmp_path)
    assert str(excinfo.value).startswith("`path` must ")
    assert "\n" not in str(excinfo.value)


def test_hidden_and_system_files_are_ignored(tmp_path):
    before = of(fill(tmp_path, "cat", "dog")).load().fingerprint()
    fill(tmp_path, ".ipynb_checkpoints", "__MACOSX", "cat/.ipynb_checkpoints")
    (tmp_path / "dog" / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "dog" / "._0.png").write_bytes(b"\0")
    dataset = of(tmp_path)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.load().fingerprint() == before


def test_files_that_are_not_images_are_counted_and_reported(tmp_path, monkeypatch):
    fill(tmp_path, "cat", "dog", "dog/more")
    for name in ("cat/a.txt", "cat/b.TXT", "dog/c.heic", "list.csv", "cat/README"):
        (tmp_path / name).write_text("")
    output = []
    monkeypatch.setattr("distill.runtime.progress.say", output.append)
    of(tmp_path).load()
    (line,) = output
    for kind in ("1 .csv", "1 .heic", "2 .txt", "1 folders", "1 without an ending"):
        assert kind in line


def test_a_class_without_an_image_is_refused_by_name(tmp_path):
    fill(tmp_path, "cat", "dog")
    fill(tmp_path, "eel", count=0)
    with pytest.raises(data.DataError, match=r"training examples.* none of eel"):
        of(tmp_path).load()


def test_an_image_may_have_any_known_suffix(tmp_path):
    fill(tmp_path, "cat", "dog", count=0)
    Image.new("L", (4, 4)).save(tmp_path / "cat" / "a.png")
    for ending in (".TIF", ".tiff", ".gif", ".jpe", ".JPEG", ".bmp", ".webp"):
        name = tmp_path / "cat" / f"b{ending}"
        name.write_bytes((tmp_path / "cat" / "a.png").read_bytes())
    images, others = class_folders.images(tmp_path, ("cat", "dog"))
    assert len(images) == 8
    assert not others
