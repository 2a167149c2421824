"""Teachers without the data's classes: features by name, for `embedding` alone."""

import json
import re

import answering
import keras
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from distill import check, train
from distill.config.answering import Input
from distill.data import kept
from distill.runtime import errors
from distill.teach import incoming, stages, teacher
from distill.teach.answering import answerer
from distill.teach.workspace import Workspace

RNG = np.random.default_rng(0)
WIDTH = 6
KERNEL = RNG.normal(size=(64, WIDTH)).astype("float32")
EMBEDDING = (
    "{trainer: {name: embedding, options: {embedding: pooler}}, epochs: 1, "
    "learning_rate: 0.05}"
)
SUPERVISED = "{trainer: {name: supervised}, epochs: 2, learning_rate: 0.05}"
STAGES = f"stages=[{EMBEDDING}, {SUPERVISED}]"


def features(images):
    return images.reshape(len(images), -1) @ KERNEL


def save_answers(path, digits, **more):
    np.savez(path, pooler=features(digits._examples().train.floats()), **more)
    return path


def save_onnx(path):
    """A model whose only output is `pooler`."""
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["images"], ["flat"]),
            helper.make_node("MatMul", ["flat", "kernel"], ["pooler"]),
        ],
        "features",
        [helper.make_tensor_value_info("images", kind, ("n", 8, 8, 1))],
        [helper.make_tensor_value_info("pooler", kind, ("n", WIDTH))],
        [numpy_helper.from_array(KERNEL, "kernel")],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


def learned(run, splits, folder):
    """The student's weights and the losses of its first stage."""
    incoming.check(run, splits)
    work = Workspace(run, splits, folder / "run")
    work.folder.mkdir(parents=True)
    network, _ = teacher.obtain(work)
    student, records = stages.train("student", run.stages, work, teacher=network)
    assert not (work.folder / kept.FILE).exists()
    return student.get_weights(), records[0]["metrics"]["embedding_loss"]


def test_a_model_and_its_answers_teach_the_same(digits, splits, tmp_path):
    found = []
    for form, path in (
        ("answers", save_answers(tmp_path / "teacher.npz", digits)),
        ("onnx", save_onnx(tmp_path / "teacher.onnx")),
    ):
        run = answering.run(form, path, STAGES)
        found.append(learned(run, splits, tmp_path / form))
    for one, other in zip(found[0][0], found[1][0], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-4)


def test_a_keras_file_has_features_of_other_names_too(splits, tmp_path):
    known = answering.network(splits.validation)
    flat = keras.layers.Flatten()(known.input)
    pooler = keras.layers.Dense(WIDTH, use_bias=False)
    outputs = {"logits": known.output, "pooler": pooler(flat)}
    pooler.set_weights([KERNEL])
    path = tmp_path / "teacher.keras"
    keras.Model(known.input, outputs).save(path)
    (form, found), (_, wanted) = (
        (form, learned(answering.run(form, file, STAGES), splits, tmp_path / form))
        for form, file in (("file", path), ("onnx", save_onnx(tmp_path / "t.onnx")))
    )
    assert (tmp_path / form / "run" / "teacher.keras").exists()
    assert found[1] == pytest.approx(wanted[1], rel=1e-4)


def test_unlabelled_examples_need_no_class(tmp_path):
    """Those of a stage without one labelled example, and without a teacher's class."""
    options = (
        "{train_examples: 60, validation_fraction: 0.2, test_fraction: 0.5, "
        "unlabelled: {examples: 50}}"
    )
    run = answering.run(
        "onnx",
        save_onnx(tmp_path / "teacher.onnx"),
        STAGES,
        f"data.options={options}",
        "stages.0.epochs=6",
        "stages.0.labelled_share=0",
    )
    _, losses = learned(run, run.data.load(), tmp_path)
    assert losses[-1] < 0.9 * losses[0]


def test_a_whole_run_says_nothing_about_such_a_teacher(digits, tmp_path, capfd):
    path = save_answers(tmp_path / "teacher.npz", digits)
    flags = [f"--set={change}" for change in [*answering.SMALL, STAGES]]
    flags += ["--config=lit_resnet.yaml", f"--set=teacher={{answers: {path}}}"]
    flags += ["--set=finish=[{name: float32}]"]
    assert check.main(flags) == 0
    assert re.search(r"pooler +\(6,\)", capfd.readouterr().out)
    flags += [f"--out={tmp_path / 'run'}"]
    assert train.main([*flags, "--set=max_accuracy_drop=100"]) == 0
    assert "features without classes" in capfd.readouterr().err
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    names = [entry["name"] for entry in report["models"]]
    assert names == ["student", "student.float32"]
    assert {entry["agreement_with_teacher"] for entry in report["models"]} == {None}
    assert (tmp_path / "run" / "report.html").exists()


def test_whoever_needs_classes_gets_none(digits, splits, tmp_path):
    path = save_answers(tmp_path / "teacher.npz", digits)
    names = json.dumps([*map(str, digits.class_names)])
    for more, said in (
        (STAGES.replace("supervised", "kd"), r"train\.logits.*Received: pooler"),
        (STAGES.replace("pooler", "clip"), "`embedding`.*pooler.*Received: clip"),
        (f"teacher.class_names={names}", "`teacher.class_names` must be absent"),
    ):
        run = answering.run("answers", path, STAGES, more)
        with pytest.raises(errors.ConfigError, match=said) as found:
            incoming.check(run, splits)
        assert "\n" not in str(found.value)


def test_tokens_keep_their_channels_last():
    """A model of PyTorch takes channels first, and gives `(n, tokens, channels)`."""
    wanted = Input(channels="first")
    maps, tokens = RNG.normal(size=(2, 5, 4, 4)), RNG.normal(size=(2, 17, 5))
    answers = {"map": maps, "hidden": tokens}
    found = answerer._arrange(wanted, None, False, answers)
    np.testing.assert_array_equal(found["map"], maps.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(found["hidden"], tokens)
