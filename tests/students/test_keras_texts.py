"""A Keras model that reads ids is a network of a run on texts, as it was saved."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import students
from distill import config

LENGTH, CLASSES, IDS = 12, 2, 257
TEXTS = np.random.default_rng(0).integers(0, IDS, (5, LENGTH))


def reader(ids=IDS, dtype="int32", positions=False):
    inputs = keras.Input((LENGTH,), dtype=dtype)
    x = layers.Embedding(ids, 4, name="words")(inputs)
    if positions:
        places = ops.arange(LENGTH)
        x += layers.Embedding(LENGTH, 4, name="places")(ops.zeros_like(inputs) + places)
    x = layers.Conv1D(6, 3, padding="same", activation="relu")(x)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(CLASSES, activation="softmax")(x))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "mine.keras"
    reader().save(path)
    return path


def build_whole(file, model, vocabulary=IDS):
    part = students.KerasFile(path=str(file))
    return part.whole((LENGTH,), CLASSES, lambda *_: model, vocabulary)


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32"])
def test_it_takes_ids_and_answers_as_it_did(file, dtype):
    model = reader(dtype=dtype)
    network = build_whole(file, model)
    assert network.inputs[0].dtype == "int32"
    logits = network(TEXTS.astype("int32"), training=False)
    expected = model(TEXTS.astype(dtype), training=False)
    np.testing.assert_allclose(ops.softmax(logits), expected, rtol=1e-5)


@pytest.mark.parametrize("positions", [False, True])
def test_a_table_that_lacks_ids_is_refused(file, positions):
    build_whole(file, reader(positions=positions))
    with pytest.raises(ValueError, match=r"look up the 258 ids.*words, which has 257"):
        build_whole(file, reader(positions=positions), vocabulary=IDS + 1)


def test_a_run_on_texts_takes_it_as_teacher_and_student(file, tmp_path):
    (tmp_path / "texts.csv").write_text("text,label\ngood,1\nbad,0\n")
    network = f"{{name: keras_file, options: {{path: {file}}}}}"
    (tmp_path / "mine.yaml").write_text(
        f"data: {{name: text_file, options: {{train: {tmp_path}/texts.csv, tokenizer: "
        "{name: bytes, options: {length: 12}}}}\n"
        f"teacher: {{network: {network}, stages: [{{trainer: {{name: supervised}}, "
        f"epochs: 1}}]}}\nstudent: {network}\n"
        "stages: [{trainer: {name: kd}, epochs: 1}]\n"
    )
    assert config.load(tmp_path / "mine.yaml").student.path == str(file)
