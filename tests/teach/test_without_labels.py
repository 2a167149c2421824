"""A run without any label: agreement decides, and is nowhere called accuracy."""

import dataclasses
import json
import re

import answering
import numpy as np
import pytest
from PIL import Image

import distill.aggregate
import distill.compare
import students
from distill import config, data, evaluate
from distill.data import given, rows
from distill.run.arguments import Arguments
from distill.run.evaluation import warn
from distill.runtime import errors

SHARE = {"labelled_share": 0}
STAGE = {"trainer": {"name": "kd"}, "epochs": 3, "learning_rate": 0.03, **SHARE}
INT8 = {"name": "int8", "options": {"epochs": 1, **SHARE}}


@pytest.fixture(scope="module")
def digits():
    return config.load("lit_resnet.yaml").data.load()


@pytest.fixture(scope="module")
def result(digits, tmp_path_factory):
    """A run on images alone, from Python."""
    return distill.train(
        data={"train": digits.train.floats()[:300], "class_names": "abcdefghij"},
        teacher=answering.network(digits.train),
        student="lenet",
        batch_size=16,
        stages=[STAGE],
        finish=[INT8],
        max_accuracy_drop=100.0,
        out=tmp_path_factory.mktemp("runs") / "run",
    )


def test_accuracy_is_unknown_and_agreement_has_its_own_name(result):
    report, folder = result.report, result.folder
    for model in report["models"]:
        assert model["accuracy"] is None and model["validation_accuracy"] is None
    student, file = (
        next(m for m in report["models"] if m["name"] == name)
        for name in ("student", "student.int8")
    )
    assert student["agreement_with_teacher"] > 50 and file["validation_agreement"] > 50
    assert any("accuracy is unknown" in line for line in report["warnings"])
    for record in report["stages"]:
        metrics = set(record["metrics"])
        assert {"agreement_with_teacher", "val_agreement_with_teacher"} <= metrics
        assert not [name for name in metrics if "accuracy" in name]
    page = (folder / "report.html").read_text()
    assert "agreeing with the teacher in" in page and "correct in" not in page
    card = (folder / "MODEL_CARD.md").read_text()
    assert "| agreement with the teacher, % |" in card and "| accuracy" not in card
    front = json.loads((folder / "front.json").read_text())
    assert front["models"][0]["agreement_with_teacher"] == 100
    events = next((folder / "tensorboard" / "run").glob("events*")).read_bytes()
    assert b"test_agreement_with_teacher/student" in events
    assert b"test_accuracy" not in events


def test_evaluate_says_that_there_is_no_accuracy(result, capfd):
    flags = [f"--config={result.folder}/run.yaml", "--split=validation"]
    assert evaluate.main([f"--model={result.folder}/student.keras", *flags]) == 0
    (line,) = re.findall("accuracy, %.*", capfd.readouterr().out)
    examples = result.report["data"]["validation"]
    assert (
        line.split("  ")[-1].strip()
        == f"unknown: the {examples} examples have no labels"
    )


def test_a_student_at_chance_is_a_warning_where_nothing_else_says_it(result):
    assert not [line for line in result.report["warnings"] if "chance gives" in line]
    taught = np.eye(4, dtype=np.float32)[np.arange(400) % 4]
    labels = np.full(400, data.UNLABELLED)
    unlabelled = data.Split(np.zeros((400, 2, 2, 1), np.uint8), labels)
    random = np.random.default_rng(0).normal(size=taught.shape)
    blind = np.tile(np.eye(4)[2], (400, 1))
    for student in (random, blind):
        (line,) = warn.no_agreement(student, taught, unlabelled)
        assert "of 400 test examples, where chance gives 2" in line
    assert not warn.no_agreement(random + taught, taught, unlabelled)
    assert not warn.no_agreement(blind, None, unlabelled)
    labelled = dataclasses.replace(unlabelled, labels=np.arange(400) % 4)
    assert not warn.no_agreement(blind, taught, labelled)


def test_a_network_is_finished_without_labels_too(digits, tmp_path):
    files = distill.finish(
        students.LeNet().build((8, 8, 1), 10),
        data={"train": digits.train.floats()[:200], "class_names": "abcdefghij"},
        teacher=answering.network(digits.train),
        finish=["float32"],
        out=tmp_path / "files",
    )
    assert files.report["models"][-1]["accuracy"] is None
    # It was never trained.
    assert any("where chance gives" in line for line in files.report["warnings"])


def run(folder, *overrides):
    plain = {
        "data": {"name": "array_folder", "options": given.options(folder)},
        "teacher": {"file": __file__},
        "student": {"name": "lenet"},
        "stages": [STAGE],
    }
    return config.read(config.Run, plain, overrides)


def test_runs_whose_accuracy_is_unknown_are_not_compared(result, capsys, tmp_path):
    flags = [f"--configs={result.folder}/run.yaml", f"--out={tmp_path}", "--seeds=2"]
    for command, options in (
        (distill.aggregate.main, [str(result.folder)]),
        (distill.compare.main, flags),
    ):
        assert command(options) == 2
        assert "labels" in capsys.readouterr().err


KD = "[{trainer: {name: kd}, epochs: 1%s}]"
REFUSED = {
    "a share": ("stages=" + KD % "", "labelled_share.*0 with data"),
    "labels": ("stages=" + KD % ", labelled_share: 0, task_weight: 1", "task_weight"),
    "a method": ("stages=[{trainer: {name: supervised}, epochs: 1}]", "labelled_share"),
    "a teacher to train": (
        "teacher={network: {name: lenet}, stages: [{trainer: {name: supervised}, "
        "epochs: 1}]}",
        "teacher.stages.*given",
    ),
    "a finisher": ("finish=[{name: int8}]", r"finish\[0\].*0 with data"),
    "a reference": (f"references=[{{file: {__file__}}}]", "references.*no accuracy"),
    "more": ("data.options.unlabelled={path: .}", "have no labels already"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_labels_is_refused_in_one_line(name, tmp_path):
    option, said = REFUSED[name]
    images = np.random.default_rng(0).random((40, 8, 8, 1), np.float32)
    folder = given.save({"train": images, "class_names": "ab"}, tmp_path)
    assert run(folder).data.num_classes == 2
    with pytest.raises(errors.ConfigError, match=said):
        run(folder, option)


def test_images_alone_come_in_every_form(tmp_path):
    images = np.random.default_rng(0).random((6, 8, 8, 1), np.float32)
    for source in (images, [*images], iter([images[:4], images[4:]])):
        parts = [part for part, labels in rows.chunks(source, "x") if labels is None]
        np.testing.assert_array_equal(np.concatenate(parts), images)
    with pytest.raises(errors.DataError, match="class_names"):
        given.save(images, tmp_path)
    pairs = images, np.zeros(6, int)
    with pytest.raises(errors.DataError, match="validation must have labels"):
        given.save({"train": pairs, "validation": images}, tmp_path)
    with pytest.raises(errors.DataError, match="images alone"):
        given.save_unlabelled(pairs, tmp_path)


def test_splits_with_labels_beside_training_examples_without_are_measured(tmp_path):
    images = np.random.default_rng(0).random((40, 8, 8, 1), np.float32)
    pair = images[:20], np.arange(20) % 2
    examples = {"train": images[20:], "test": pair, "class_names": "ab"}
    splits = run(given.save(examples, tmp_path)).data.load()
    known = [name for name, part in splits.by_name().items() if part.has_labels]
    assert known == ["test"]


def test_a_flat_folder_of_images_is_read_without_labels(tmp_path):
    for number in range(30):
        pixels = np.full((8, 8), 8 * number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    options = {"path": str(tmp_path), "size": [8, 8], "channels": 1}
    plain = {"name": "image_folder", "options": {**options, "teacher_classes": 3}}
    dataset = run_of(plain).data
    splits = dataset.load()
    assert sum(len(part.labels) for part in splits.by_name().values()) == 30
    assert not splits.test.has_labels and dataset.class_names == ("0", "1", "2")


def run_of(plain):
    return config.read(
        config.Run,
        {
            "data": plain,
            "teacher": {"file": __file__},
            "student": {"name": "lenet"},
            "stages": [STAGE],
        },
    )


def test_further_images_come_from_python(tmp_path):
    more = np.random.default_rng(0).random((9, 8, 8, 1), np.float32)
    stage = {**STAGE, "labelled_share": 0.5}
    options = {"unlabelled": more, "stages": [stage], "data": {"name": "digits"}}
    arguments = Arguments(config.Run, "lit_resnet.yaml", ["controls=[]"], options)
    arguments.save(tmp_path / "run")
    splits = arguments.read().data.load()
    np.testing.assert_array_equal(splits.unlabelled.floats(), more)
