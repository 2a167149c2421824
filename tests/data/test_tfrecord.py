"""TFRecord files give the pixels and labels that were written, or an error."""

import dataclasses
import io
import json
import sys

import numpy as np
import pytest
from PIL import Image

from distill import check, data
from distill.data.sets import records as sets_records
from distill.runtime import errors

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 5, 6, 3), np.uint8)
LABELS = np.arange(40) % 2
SHARD = "colours-train.tfrecord-00001-of-00002"
INFO = {
    "pythonClassName": "tensorflow_datasets.core.features.features_dict.FeaturesDict",
    "featuresDict": {
        "features": {
            "image": {
                "image": {
                    "shape": {"dimensions": ["5", "6", "3"]},
                    "dtype": "uint8",
                    "encodingFormat": "png",
                }
            },
            "label": {"classLabel": {"numClasses": "2"}},
        }
    },
}


def encode(image, form="PNG"):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, form)
    return stream.getvalue()


def example(image, label, names=("image", "label")):
    import tensorflow as tf

    kinds = (
        tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    )
    features = tf.train.Features(feature=dict(zip(names, kinds, strict=True)))
    return tf.train.Example(features=features).SerializeToString()


def write(file, records):
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in records:
            writer.write(record)


def records(chosen, **options):
    return [example(encode(PIXELS[i]), LABELS[i], **options) for i in chosen]


@pytest.fixture
def prepared_folder(tmp_path, monkeypatch):
    """A folder as TensorFlow Datasets prepares it: 30 to train with, 10 to test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "colours" / "1.0.0"
    folder.mkdir(parents=True)
    for shard, chosen in enumerate((range(17), range(17, 30))):
        write(folder / f"colours-train.tfrecord-0000{shard}-of-00002", records(chosen))
    write(folder / "colours-test.tfrecord-00000-of-00001", records(range(30, 40)))
    (folder / "features.json").write_text(json.dumps(INFO))
    (folder / "label.labels.txt").write_text("dark\nlight\n")
    return folder


def dataset(folder, **options):
    return data.DATASETS["tfrecord"](path=str(folder), **options)


def test_pixels_and_labels_are_those_that_were_written(prepared_folder):
    actual = dataset(prepared_folder)
    assert (actual.input_shape, actual.num_classes) == ((5, 6, 3), 2)
    assert actual.class_names == ("dark", "light")
    parts = actual._examples().by_name().values()
    for split, chosen in zip(parts, np.split(range(40), [30]), strict=True):
        np.testing.assert_array_equal(split.inputs[:], PIXELS[chosen])
        np.testing.assert_array_equal(split.labels, LABELS[chosen])
    np.testing.assert_array_equal(actual.load().test.inputs[:], PIXELS[30:])


def test_a_validation_split_is_kept_whole_and_examples_are_named(prepared_folder):
    (prepared_folder / SHARD).rename(prepared_folder / "colours-validation.tfrecord")
    first = prepared_folder / "colours-train.tfrecord-00000-of-00002"
    first.rename(prepared_folder / "colours-train.tfrecord")
    splits = dataset(prepared_folder).load()
    np.testing.assert_array_equal(splits.validation.inputs[:], PIXELS[17:30])
    assert list(splits.train.names) == [f"train:{record}" for record in range(17)]
    assert list(splits.test.names[:2]) == ["test:0", "test:1"]
    assert not splits.drawn
    redrawn = dataset(prepared_folder, test="validation")
    assert list(redrawn._splits) == ["train", "test"]
    np.testing.assert_array_equal(redrawn.load().test.inputs[:], PIXELS[17:30])


def test_a_class_that_no_record_has_is_named(prepared_folder):
    """For example if labels begin at 1, and `classes` counts one more."""
    for name, chosen in (("train", range(30)), ("test", range(30, 40))):
        for file in prepared_folder.glob(f"colours-{name}*"):
            file.unlink()
        some = [example(encode(PIXELS[i]), 1 + LABELS[i]) for i in chosen]
        write(prepared_folder / f"colours-{name}.tfrecord", some)
    (prepared_folder / "label.labels.txt").unlink()
    with pytest.raises(
        data.DataError, match=r"training examples\. Received: none of 0"
    ):
        dataset(prepared_folder, classes=3).load()


def test_records_are_decoded_once_and_again_when_a_file_has_changed(
    prepared_folder, monkeypatch
):
    before = dataset(prepared_folder).load().fingerprint()
    with monkeypatch.context() as patch:
        patch.setattr(sets_records, "read_records", None)
        assert dataset(prepared_folder).load().fingerprint() == before
    test = prepared_folder / "colours-test.tfrecord-00000-of-00001"
    write(test, records(range(29, 39)))
    assert dataset(prepared_folder).load().fingerprint() != before


def test_images_decoded_with_other_options_are_not_reused(prepared_folder):
    write(prepared_folder / SHARD, [example(encode(PIXELS[0]), 2)])
    (prepared_folder / "label.labels.txt").unlink()  # It names two.
    dataset(prepared_folder, classes=3)._examples()
    with pytest.raises(errors.DataError, match=r"from 0 to 1\. Received: 2"):
        dataset(prepared_folder)._examples()


def test_one_set_of_files_is_the_same_as_a_folder_and_as_records(
    tmp_path, prepared_folder
):
    """Resized alike, JPEG alike; features and files of other names."""
    folder, alone = tmp_path / "folder", tmp_path / "alone"
    alone.mkdir()
    content = [encode(image, "JPEG") for image in PIXELS]
    for index, (image, label) in enumerate(zip(content, LABELS, strict=True)):
        place = folder / f"class{label}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{index:02}.jpg").write_bytes(image)
    order = np.argsort(LABELS, kind="stable")
    names = ("image/encoded", "image/class")
    many = [example(content[i], LABELS[i], names) for i in order]
    write(alone / "fit-00000-of-00001", many)
    shared = {"size": (4, 4), "channels": 1}
    there = dataset(
        alone, train="fit", image=names[0], label=names[1], classes=2, **shared
    )
    here = data.DATASETS["image_folder"](path=str(folder), **shared)
    assert there.class_names == ("0", "1")
    assert there.load().fingerprint() == here.load().fingerprint()


def test_any_split_can_be_the_test_split(prepared_folder):
    write(
        prepared_folder / "colours-validation.tfrecord-00000-of-00001", records([3, 4])
    )
    splits = dataset(prepared_folder, test="validation").load()
    np.testing.assert_array_equal(splits.test.inputs[:], PIXELS[[3, 4]])
    assert (
        dataset(prepared_folder, train="test")._examples().test is None
    )  # One is drawn.


def test_disk_space_for_all_records_is_required(prepared_folder, monkeypatch):
    usage = dataclasses.make_dataclass("Usage", ["free"])
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(30 * 90 - 1))
    with pytest.raises(errors.DataError, match="XDG_CACHE_HOME"):
        dataset(prepared_folder).load()


def _flip(content, place):
    content[place] ^= 1
    return content


DAMAGE = {
    "cut": (lambda content: content[:-1], "is truncated, or not a TFRecord file"),
    "text": (
        lambda content: b"no records at all, but a long text",
        "is truncated, or not",
    ),
    "content": (lambda content: _flip(content, 200), "is damaged"),
    "checksum": (lambda content: _flip(content, -1), "is damaged"),
    "length": (lambda content: _flip(content, 8), "is damaged"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_named(kind, prepared_folder):
    damage, message = DAMAGE[kind]
    file = prepared_folder / SHARD
    file.write_bytes(damage(bytearray(file.read_bytes())))
    with pytest.raises(errors.DataError, match=f"{SHARD} {message}"):
        dataset(prepared_folder).load()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (lambda: example(encode(PIXELS[0]), -1), r"`label` must be from 0 to 1\."),
        (lambda: example(encode(PIXELS[0]), 2), r"`label` must be from 0 to 1\."),
        (lambda: example(encode(PIXELS[0, :4]), 0), "4 x 6 pixels, not 5 x 6"),
        (lambda: example(encode(PIXELS[0])[:40], 0), "file of 40 bytes"),
        (
            lambda: example(encode(PIXELS[0]), 1, ("image", "depth")),
            "no feature `label`, but",
        ),
        (lambda: example(b"", 1, ("label", "image")), "`image` must be a bytes_list"),
        (lambda: b"\xff\xff", "It must be a tf.train.Example"),
    ],
)
def test_a_wrong_record_is_named(record, message, prepared_folder):
    many = [*records([0]), record()]
    write(prepared_folder / SHARD, many)
    with pytest.raises(errors.DataError, match=message) as excinfo:
        dataset(prepared_folder).load()
    assert SHARD in str(excinfo.value)
    assert "\n" not in str(excinfo.value)


def _rename(folder, feature, kind, value):
    info = json.loads(json.dumps(INFO))
    info["featuresDict"]["features"][feature][kind] |= value
    (folder / "features.json").write_text(json.dumps(info))


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (None, {"path": "/nowhere"}, "`path` must be a folder"),
        (lambda f: (f / SHARD).unlink(), {}, "all files of the split train"),
        (lambda f: write(f / "b-test.tfrecord", []), {}, "one set for the split test"),
        (lambda f: (f / SHARD).rename(f / f"b{SHARD}"), {}, "one set for .* train"),
        (None, {"train": "fit"}, "`train` must be a split with files in"),
        (None, {"test": "dev"}, "`test` must be a split with files in"),
        (None, {"test": "train"}, "`test` must be another split"),
        (None, {"validation": "train"}, "`validation` must be another split"),
        (None, {"validation": "dev"}, "`validation` must be a split with files in"),
        (None, {"classes": 3}, "`classes` must be 2, as many as the names in label"),
        (
            lambda f: (f / "label.labels.txt").write_bytes(b"dark\n\xff\n"),
            {},
            "must hold a label.labels.txt in UTF-8",
        ),
        (None, {"label": "name"}, "`label` must be a feature in .*: image, label"),
        (lambda f: (f / "features.json").unlink(), {"size": (4, 4)}, "`classes` must"),
        (lambda f: (f / "features.json").unlink(), {"classes": 2}, "`size` must be"),
        (lambda f: (f / "features.json").write_text("{}"), {}, "must hold a features"),
        (None, {"size": (4,)}, "`size` must be"),
        (None, {"channels": 2}, "`channels` must be 1 or 3"),
        (
            lambda f: _rename(f, "image", "image", {"dtype": "uint16"}),
            {},
            "uint8 pixels. Received: uint16",
        ),
        (
            lambda f: _rename(
                f, "image", "image", {"shape": {"dimensions": ["-1", "-1", "3"]}}
            ),
            {},
            "`size` must be",
        ),
    ],
)
def test_wrong_folders_and_options_are_refused_with_the_config(
    change, options, message, prepared_folder
):
    if change is not None:
        change(prepared_folder)
    with pytest.raises(ValueError, match=message):
        data.DATASETS["tfrecord"](**{"path": str(prepared_folder)} | options)


def test_missing_tensorflow_is_an_error_of_one_line(prepared_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(errors.DataError, match="TensorFlow, which is not installed"):
        dataset(prepared_folder).load()


def test_the_check_command_reports_missing_files(prepared_folder, capfd):
    (prepared_folder / SHARD).unlink()
    part = f"{{name: tfrecord, options: {{path: {prepared_folder}}}}}"
    assert check.main(["--config=kd_resnet.yaml", f"--set=data={part}"]) == 2
    assert "all files of the split train" in capfd.readouterr().err
