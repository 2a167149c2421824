"""A teacher that only answers teaches as a network with the same answers does."""

import contextlib
import json

import answering
import keras
import numpy as np
import pytest

from distill import check, data, train
from distill.compress import answers as finishing
from distill.config.answering import Input
from distill.data import augmentation, kept
from distill.runtime import errors
from distill.teach import incoming, stages, teacher
from distill.teach.answering import answerer, stand_in
from distill.teach.workspace import Workspace

KD = "stages=[{trainer: {name: kd}, epochs: 1}]"


@pytest.fixture(scope="module")
def model(splits):
    return answering.network(splits.validation)


@pytest.fixture(scope="module")
def npz(model, digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("answers") / "teacher.npz"
    return answering.save_answers(path, model, digits)


def learned(run, splits, folder):
    """The bytes of the student's weights; the teacher is checked before."""
    incoming.check(run, splits)
    work = Workspace(run, splits, folder / "run")
    work.folder.mkdir(parents=True)
    network, _ = teacher.obtain(work)
    student, _ = stages.train("student", run.stages, work, teacher=network)
    return [weights.tobytes() for weights in student.get_weights()]


# Answers.


def test_equal_answers_in_another_order_of_classes_make_equal_students(
    model, npz, digits, splits, tmp_path
):
    wanted = learned(answering.run("answers", npz), splits, tmp_path / "one")
    order = np.random.default_rng(0).permutation(10)
    known = answering.answer(model, digits._examples().train.floats())[:, order]
    more = np.concatenate([known, 99 + known[:, :1]], 1)  # One that nobody has.
    np.savez(tmp_path / "other.npz", logits=more)  # For short.
    names = [digits.class_names[index] for index in order]
    text = json.dumps([*names, "another"])
    other = answering.run(
        "answers", tmp_path / "other.npz", f"teacher.class_names={text}"
    )
    assert learned(other, splits, tmp_path / "two") == wanted
    folder = tmp_path / "two" / "run"
    assert not (folder / "teacher.keras").exists()
    logits = kept.read(folder / kept.FILE)
    assert set(logits) == {"validation", "test"}  # No finisher trains.
    for name, found in logits.items():
        part = splits.by_name()[name]
        np.testing.assert_allclose(
            found[0], answering.answer(model, part.floats()), rtol=1e-5, atol=1e-5
        )


def test_each_example_gets_its_own_answer(npz, model, splits):
    run = answering.run("answers", npz)
    opened = answerer.open_answerer(run)
    opened.check(splits)
    for name, part in splits.by_name().items():
        indices = np.arange(len(part.labels))[::-2]
        found = opened.answer(name, indices, None)["logits"]
        wanted = answering.answer(model, part.take(indices).floats())
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_representations_come_with_the_logits(model, digits, splits, tmp_path):
    """FitNet compares a representation that no network has computed."""
    examples = digits._examples().train.floats()
    shape = answering.run("answers", __file__).student.shapes((8, 8, 1))["section1"]
    maps = np.resize(examples, (len(examples), *shape)).astype("float32")
    path = tmp_path / "teacher.npz"
    answering.save_answers(path, model, digits, **{"train.section1": maps})
    fitnet = "{name: fitnet, options: {representations: [section1]}}"
    run = answering.run("answers", path, f"stages=[{{trainer: {fitnet}, epochs: 1}}]")
    learned(run, splits, tmp_path)
    run = answering.run(
        "answers", path, f"stages=[{{trainer: {fitnet.replace('1', '2')}, epochs: 1}}]"
    )
    with pytest.raises(errors.ConfigError, match=r"teacher\.answers.*section2"):
        incoming.check(run, splits)


def changed(arrays, **changes):
    return {
        **arrays,
        **{name.replace("_", "."): value for name, value in changes.items()},
    }


BAD = {
    "no array": (lambda a: {"scores": a}, r"train\.logits.*Received: scores"),
    "one row too few": (lambda a: {"train.logits": a[1:]}, r"\(1797, 10\).*1796, 10"),
    "other classes": (lambda a: {"train.logits": a[:, 1:]}, "10 logits.*class_names"),
    "a NaN": (lambda a: {"train.logits": a + np.eye(1797, 10, -7) * np.nan}, "NaN"),
    "infinity": (lambda a: {"train.logits": a / 0}, "infinity"),
    "a drawn split": (
        lambda a: {"train.logits": a, "test.logits": a},
        r"draws.*test\.logits",
    ),
    "probabilities": (
        lambda a: {"train.logits": np.exp(a) / np.exp(a).sum(1, keepdims=True)},
        "sum to 1.*logarithm",
    ),
    "another order": (
        lambda a: {"train.logits": np.roll(a, 1, 1)},
        "another order.*class_names",
    ),
    "other rows": (
        lambda a: {"train.logits": a[np.random.default_rng(0).permutation(1797)]},
        "guessing gives",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_answers_that_do_not_fit_are_one_line(name, model, digits, splits, tmp_path):
    change, said = BAD[name]
    path = tmp_path / "teacher.npz"
    examples = digits._examples().train.floats()
    with np.errstate(all="ignore"):
        np.savez(path, **change(answering.answer(model, examples)))
    with pytest.raises(errors.ConfigError, match=said) as found:
        incoming.check(answering.run("answers", path), splits)
    assert "\n" not in str(found.value)
    assert "teacher.answers" in str(found.value)


# What it takes.


def test_images_are_made_as_the_teacher_wants_them():
    images = np.random.default_rng(0).uniform(size=(2, 4, 6, 3)).astype("float32")
    wanted = Input(
        range=(0.0, 255.0), mean=(1.0, 2.0, 3.0), deviation=(2.0,), channels="first"
    )
    expected = (255 * images - [1, 2, 3]) / 2
    made = answerer.prepare(wanted, images)
    np.testing.assert_allclose(made, expected.transpose(0, 3, 1, 2), rtol=1e-5)
    made = answerer.prepare(Input(range=(-1.0, 1.0), order="bgr"), images)
    np.testing.assert_allclose(made, 2 * images[..., ::-1] - 1, atol=1e-6)
    made = answerer.prepare(Input(size=(2, 3)), images)
    means = images.reshape(2, 2, 2, 3, 2, 3).mean((2, 4))
    assert made.shape == means.shape
    assert np.corrcoef(made.ravel(), means.ravel())[0, 1] > 0.8
    np.testing.assert_array_equal(answerer.prepare(None, images), images)


# Formats.


def save(form, path, model):
    if form == "onnx":
        pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
        return answering.save_onnx(path.with_suffix(".onnx"), model, True)
    return answering.save_tflite(path.with_suffix(".tflite"), model)


@pytest.mark.parametrize("form", ["onnx", "tflite"])
def test_a_foreign_model_answers_as_the_network_it_was(form, model, splits, tmp_path):
    path = save(form, tmp_path / "given", model)
    more = ["teacher.input={channels: first}"] if form == "onnx" else []
    opened = answerer.open_answerer(answering.run(form, path, *more))
    assert opened.shapes == {"logits": (10,)}
    part = splits.test.take(np.arange(20))
    with opened.ready():
        found = opened.answer("test", np.arange(20), part.floats())["logits"]
    wanted = answering.answer(model, part.floats())
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_a_whole_run_learns_from_a_file_of_another_library(model, tmp_path, capfd):
    path = save("tflite", tmp_path / "given", model)
    flags = [f"--set={change}" for change in answering.SMALL]
    flags += ["--config=lit_resnet.yaml", f"--set=teacher={{tflite: {path}}}"]
    flags += ["--set=augmentation={shift: 1, variants: 2}"]
    flags += ["--set=finish=[{name: float32}]", "--set=max_accuracy_drop=100"]
    assert check.main(flags) == 0
    assert "stages[0]" in capfd.readouterr().out
    flags += [f"--out={tmp_path / 'run'}"]
    assert train.main(flags) == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    names = [entry["name"] for entry in report["models"]]
    assert names == ["teacher", "student", "student.float32"]
    entry = report["models"][0]
    assert entry["accuracy"] > 50
    assert entry["agreement_with_teacher"] == 100
    assert entry["latency_ms"] is entry["macs"] is entry["bytes"] is None
    assert any("teacher" in line for line in report["warnings"])
    rows = (file.name.split("_")[0] for file in (tmp_path / "answers").rglob("*.rows"))
    assert sorted(rows) == ["test0", "training0", "training1", "validation0"]


def test_a_file_that_may_be_unsafe_ends_the_command_with_3(tmp_path, capfd):
    path = tmp_path / "bad.tflite"
    path.write_bytes(b"no TFLite file")
    flags = [f"--set={change}" for change in answering.SMALL]
    flags += ["--config=lit_resnet.yaml", f"--set=teacher={{tflite: {path}}}"]
    assert train.main([*flags, f"--out={tmp_path}/run"]) == errors.EXIT_UNTRUSTED
    assert f"error: {path}: it is no TFLite file\n" in capfd.readouterr().err


# Finishing.


def test_finishers_distil_from_the_answers_to_each_variant(splits, tmp_path):
    changes = augmentation.Augmentation(shift=1, variants=3)
    rng = np.random.default_rng(0)
    count = len(splits.train.labels)
    logits = {
        "train": rng.normal(size=(3, count, 10)).astype("float32"),
        "validation": rng.normal(size=(1, len(splits.validation.labels), 10)),
    }
    with (tmp_path / kept.FILE).open("wb"):
        kept.write(tmp_path / kept.FILE, logits)
    opened = finishing.open_teacher(tmp_path, None, splits, changes)
    for number in range(3):
        draws = changes.variant(number, count)
        inputs = data.floats(changes(splits.train.inputs[:], draws))
        same = (opened(inputs) == logits["train"][number]).all(1)
        assert same.mean() > 0.7  # Two variants may be one image.
    np.testing.assert_array_equal(
        opened(splits.validation.floats()), logits["validation"][0]
    )


def test_the_stand_in_cannot_be_run(npz):
    network = stand_in.build(answering.run("answers", npz))
    assert stand_in.is_stand_in(network)
    assert not stand_in.is_stand_in(keras.Sequential([keras.layers.Dense(1)]))
    with pytest.raises(NotImplementedError), contextlib.suppress(TypeError):
        network(np.zeros((1, 8, 8, 1), "float32"))
