"""The teacher is trained once, under the fingerprint of all that decides it."""

import dataclasses
import importlib.metadata

import keras
import numpy as np
import pytest

import students
from distill import config, data
from distill.run.evaluation import warn
from distill.runtime import errors, versions
from distill.teach import stages, teacher
from distill.teach.workspace import Workspace

SMALL = [
    "teacher.network.options.depth=8",
    "teacher.network.options.width=4",
    "student.options.width=4",
    "teacher.stages.0.epochs=1",
]


def load(*overrides):
    return config.load("lit_resnet.yaml", [*SMALL, *overrides])


@pytest.fixture(scope="module")
def splits():
    return load().data.load()


@pytest.mark.parametrize("package", ["tensorflow", "jax", "jaxlib", "torch"])
def test_the_version_of_every_backend_decides(package, splits, monkeypatch):
    before = teacher.fingerprint(load(), splits), versions.versions()
    known = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata,
        "version",
        lambda name: "another" if name == package else known(name),
    )
    assert teacher.fingerprint(load(), splits) != before[0]
    # Also what a run stands on, and what its files say of themselves.
    assert versions.versions() == {**before[1], package: "another"}


@pytest.mark.parametrize(
    "change",
    [
        "seed=1",
        "batch_size=32",
        "augmentation.flip=true",
        "teacher.stages.0.epochs=2",
        "teacher.stages.0.learning_rate=0.2",
        "teacher.network.options.depth=14",
        "data.options.train_examples=200",
    ],
)
def test_what_decides_the_teacher_changes_its_fingerprint(change, splits):
    before = teacher.fingerprint(load(), splits)
    assert teacher.fingerprint(load(change), splits) != before


def test_pixels_and_code_change_the_fingerprint(splits, monkeypatch, tmp_path):
    run = load()
    before = teacher.fingerprint(run, splits)
    assert teacher.fingerprint(run, splits) == before
    train = data.Split(1 - splits.train.inputs, splits.train.labels)
    other = dataclasses.replace(splits, train=train)
    assert teacher.fingerprint(run, other) != before
    (tmp_path / "__init__.py").write_text("")
    monkeypatch.setattr(students, "__file__", str(tmp_path / "__init__.py"))
    assert teacher.fingerprint(run, splits) != before


@pytest.mark.parametrize(
    "change", ["student.options.depth=14", "stages.0.epochs=3", "finish=[]"]
)
def test_what_the_student_does_leaves_the_teacher_alone(change, splits):
    control = ["controls=[]"]
    before = teacher.fingerprint(load(*control), splits)
    assert teacher.fingerprint(load(*control, change), splits) == before


def test_training_reads_neither_test_split_nor_global_random_state(splits, tmp_path):
    run = load()
    made = []
    for number, test in enumerate([None, splits.test]):
        np.random.seed(number)
        keras.utils.set_random_seed(number)
        network, records = stages.train(
            "teacher",
            run.teacher.stages,
            Workspace(
                run, dataclasses.replace(splits, test=test), tmp_path / str(number)
            ),
        )
        made.append([keras.ops.convert_to_numpy(v).tobytes() for v in network.weights])
    assert made[0] == made[1]
    assert records[0]["metrics"]["val_accuracy"]


def save(path, width=4, classes=10, shape=(8, 8, 1)):
    students.ResNet(depth=8, width=width).build(shape, classes).save(path)
    return f"teacher={{file: {path}}}"


def test_a_given_file_is_the_teacher(splits, tmp_path):
    given = save(tmp_path / "mine.keras")
    network, records = teacher.obtain(Workspace(load(given), splits, tmp_path))
    assert not records
    copy = keras.models.load_model(tmp_path / "teacher.keras")
    for a, b in zip(network.weights, copy.weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"width": 8}, r"`stem`.*\(8, 8, 8\).*\(8, 8, 4\)"),
        ({"classes": 3}, "10 classes.*to 3"),
        ({"shape": (9, 9, 1)}, r"\(8, 8, 1\).*\(9, 9, 1\)"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(options, said, tmp_path):
    given = save(tmp_path / "mine.keras", **options)
    with pytest.raises(errors.ConfigError, match=said):
        teacher.open_given(load(given))


def test_a_damaged_file_is_refused_in_one_line(tmp_path):
    (tmp_path / "mine.keras").write_bytes(b"no model")
    run = load(f"teacher={{file: {tmp_path / 'mine.keras'}}}")
    with pytest.raises(errors.Untrusted, match=r"no whole \.keras") as caught:
        teacher.open_given(run)
    assert "\n" not in str(caught.value)


def model(name, accuracy):
    return {"name": name, "accuracy": accuracy}


def test_a_teacher_or_student_beaten_by_the_control_is_a_warning():
    run = load()
    models = [model("teacher", 90.0), model("student", 91.0), model("control", 92.0)]
    lines = warn.controls(run, models)
    assert ["teacher" in lines[0].lower(), "student" in lines[1].lower()] == [True] * 2
    models[2]["accuracy"] = 89.0
    assert warn.controls(run, models) == []
