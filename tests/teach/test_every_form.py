"""The same teacher in every form teaches the same, within the rounding of its format.

Prints the table of docs/teachers.md: `python -m pytest -n 0 -s` and this file.
"""

import answering
import keras
import numpy as np
import pytest

from distill import config
from distill.measure import accuracy
from distill.runtime import formats, packages
from distill.runtime.trust import own_python
from distill.teach import incoming, stages, teacher
from distill.teach.answering import stand_in
from distill.teach.workspace import Workspace

OPTIONS = [
    *answering.SMALL,
    "data.options={train_examples: 600, validation_fraction: 0.2, test_fraction: 0.4, "
    "validation_examples: null}",
    "stages=[{trainer: {name: kd}, epochs: 4, learning_rate: 0.03}]",
]
ROUNDING = 1e-4  # Of float32 logits around 10, summed in another order.
SOURCE = """
import numpy as np
import torch

known = np.load({path!r})


def answer(images):
    pixels = torch.from_numpy(images).flatten(1)
    return pixels @ torch.from_numpy(known["kernel"]) + torch.from_numpy(known["bias"])
"""


def save_keras(path, model):
    keras.Model(model.input, {"logits": model.output}).save(path)
    return path


def save_python(path, model):
    kernel, bias = answering.weights_of(model)
    np.savez(path.with_suffix(".npz"), kernel=kernel, bias=bias)
    path.write_text(SOURCE.format(path=str(path.with_suffix(".npz"))))
    return f"{path}:answer"


FORMS = {
    "file": ("teacher.keras", save_keras),
    "onnx": ("teacher.onnx", answering.save_onnx),
    "tflite": ("teacher.tflite", answering.save_tflite),
    "saved_model": ("teacher", answering.save_saved_model),
    "python": ("torch_teacher.py", save_python),
    "answers": ("teacher.npz", None),
}
NEEDED = {"onnx": packages.ONNX, "python": ("torch",)}


@pytest.fixture(scope="module")
def splits():
    return config.load("lit_resnet.yaml", OPTIONS).data.load()


def learned(form, path, splits, folder):
    """The teacher's logits on the test split, and the student."""
    run = config.load("lit_resnet.yaml", [*OPTIONS, f"teacher={{{form}: '{path}'}}"])
    incoming.check(run, splits)
    work = Workspace(run, splits, folder / f"run_{form}")
    work.folder.mkdir()
    network, _ = teacher.obtain(work)
    if stand_in.is_stand_in(network):
        with np.load(work.folder / "teacher.npz") as archive:
            logits = archive["test"][0]
    else:
        logits = accuracy.logits(network, splits.test)
    student, _ = stages.train("student", run.stages, work, teacher=network)
    return logits, student


def test_each_form_teaches_alike_and_equal_answers_make_equal_bytes(
    splits, tmp_path, monkeypatch
):
    monkeypatch.setitem(own_python._state, "allowed", True)
    model = answering.network(splits.train)
    made = {
        form: save(tmp_path / name, model)
        for form, (name, save) in FORMS.items()
        if save and not packages.missing(*NEEDED.get(form, ()))
    }
    results = {
        form: learned(form, path, splits, tmp_path) for form, path in made.items()
    }
    # What the TFLite file has said, in a file, by the order of the data set.
    own = config.load("lit_resnet.yaml", OPTIONS).data._examples().train
    path = said(made["tflite"], own, tmp_path / "teacher.npz")
    results["answers"] = learned("answers", path, splits, tmp_path)
    expected = answering.answer(model, splits.test.floats())
    rows = []
    for form, (logits, student) in results.items():
        difference = float(np.abs(logits - expected).max())
        reached = accuracy.accuracy(accuracy.logits(student, splits.test), splits.test)
        rows.append([form, f"{difference:.1e}", formats.percent(reached)])
        assert difference < ROUNDING, form
    print("\n" + formats.table(rows, ["form", "largest difference", "student, %"]))
    accuracies = [float(row[-1]) for row in rows]
    assert max(accuracies) - min(accuracies) <= 1
    assert min(accuracies) > 50
    one, other = (results[form][1].get_weights() for form in ("tflite", "answers"))
    assert [x.tobytes() for x in one] == [x.tobytes() for x in other]


def said(path, part, target):
    """Writes what a TFLite teacher answers to the data set's own examples."""
    run = config.load("lit_resnet.yaml", [*OPTIONS, f"teacher={{tflite: {path}}}"])
    opened = stand_in.answerer_of(stand_in.build(run))
    with opened.ready():
        found = opened.answer("", np.arange(len(part.labels)), part.floats())
    np.savez(target, **{"train.logits": found["logits"]})
    return target
