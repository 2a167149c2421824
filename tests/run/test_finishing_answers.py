"""`finish` distils from a teacher that only answers as from a network."""

import answering
import numpy as np
import pytest

import distill
import students
from distill import config, data
from distill.config import finishing
from distill.data import kept
from distill.runtime import errors

SIZES = {"train_examples": 63, "validation_fraction": 0.3, "test_fraction": 0.5}
DIGITS = {"name": "digits", "options": SIZES}


def test_a_network_is_finished_with_the_answers_of_a_file(tmp_path):
    splits = data.DATASETS["digits"](**SIZES).load()
    model = answering.network(splits.train)
    path = answering.save_tflite(tmp_path / "teacher.tflite", model)
    files = distill.finish(
        students.LeNet().build((8, 8, 1), 10),
        data=DIGITS,
        teacher={"tflite": str(path)},
        finish=[{"name": "int8", "options": {"epochs": 1}}],
        max_accuracy_drop=100.0,
        out=tmp_path / "run",
    )
    found = kept.read(files.folder / kept.FILE)
    assert set(found) == {"train", "validation", "test"}
    wanted = answering.answer(model, splits.train.floats())
    np.testing.assert_allclose(found["train"][0], wanted, atol=1e-3)
    assert "kd_loss" in files.report["stages"][-1]["metrics"]
    assert files.report["models"][0]["name"] == "teacher"
    assert files.report["models"][-1]["agreement_with_teacher"] is not None


def read(teacher, **options):
    plain = {
        "model": __file__,
        "data": DIGITS,
        "finish": [{"name": "float32"}],
        "teacher": teacher,
    }
    return config.read(finishing.Finishing, plain | options)


REFUSED = {
    "a file as a form": ({"file": __file__}, {}, "the path of a .keras file"),
    "a second hash": ({"onnx": __file__}, {"teacher_sha256": "0" * 64}, "own `sha256`"),
    "no variants": ({"onnx": __file__}, {"augmentation": {"shift": 1}}, "variants"),
    "what is not there": ({"onnx": "nothing.onnx"}, {}, "a file that exists"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_teacher_that_cannot_answer_there_is_one_line(name):
    teacher, options, said = REFUSED[name]
    with pytest.raises(errors.ConfigError, match=said):
        read(teacher, **options)


def test_a_config_is_written_as_it_is_read():
    for teacher in (__file__, {"onnx": __file__}, {"answers": __file__}):
        run = read(teacher)
        assert config.read(finishing.Finishing, config.plain(run)) == run
    assert config.plain(read(__file__))["teacher"] == __file__
