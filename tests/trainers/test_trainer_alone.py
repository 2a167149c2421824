"""`Trainer` without a run: plain models, one-hot labels, weights, own losses."""

import pathlib
import re

import keras
import numpy as np
import pytest
from keras import ops

import trainers
from trainers import plain
from trainers.methods.representations import FromRepresentations
from trainers.trainer import Trainer

ROOT = pathlib.Path(__file__).parents[2]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 5)).astype("float32")
Y = np.arange(24) % 3
ONE_HOT = np.eye(3, dtype="float32")[Y]


def student(units=3):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((5,))
    x = keras.layers.Dense(4, activation="tanh")(inputs)
    return keras.Model(inputs, keras.layers.Dense(units)(x))


def teacher():
    keras.utils.set_random_seed(4)
    return keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])


def fitted(y, loss, method=None, x=X, batch=8, **options):
    network = student()
    method = method or trainers.KD(kd_weight=0.5, temperature=2.0)
    learner = Trainer(student=network, teacher=teacher(), method=method)
    learner.compile(optimizer="sgd", loss=loss, metrics=["accuracy"])
    history = learner.fit(
        x, y, epochs=2, batch_size=batch, shuffle=False, verbose=0, **options
    )
    return network.get_weights(), history.history


def sparse():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def categorical():
    return keras.losses.CategoricalCrossentropy(from_logits=True)


def assert_close(first, second):
    for a, b in zip(first[0], second[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    for name, values in first[1].items():
        np.testing.assert_allclose(values, second[1][name], rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("name", ["kd", "dkd", "dist"])
def test_labels_may_be_classes_a_column_or_one_hot(name):
    method = trainers.TRAINERS[name]()
    as_classes = fitted(Y, sparse(), method)
    assert_close(as_classes, fitted(Y[:, None], sparse(), method))
    assert_close(as_classes, fitted(ONE_HOT, categorical(), method))


def test_unlabelled_examples_learn_from_the_teacher_alone():
    known = Y.copy()
    known[::2] = -1
    rows = ONE_HOT.copy()
    rows[::2] = 0
    as_classes = fitted(known, sparse(), trainers.DKD())
    assert_close(as_classes, fitted(known[:, None], sparse(), trainers.DKD()))
    network, history = fitted(rows, categorical(), trainers.DKD())
    for a, b in zip(as_classes[0], network, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert np.isfinite(history["loss"]).all()


def test_weights_of_classes_are_those_of_their_examples():
    weights = {0: 3.0, 1: 0.0, 2: 1.0}
    by_example = np.array([weights[label] for label in Y], "float32")
    expected = fitted(Y, sparse(), sample_weight=by_example)
    assert_close(expected, fitted(Y, sparse(), class_weight=weights))
    assert_close(expected, fitted(ONE_HOT, categorical(), class_weight=weights))
    # What weighs nothing is as if it were another example.
    other = np.where((Y == 1)[:, None], 9.0, X).astype("float32")
    alike = fitted(Y, sparse(), class_weight=weights, x=other)
    for a, b in zip(expected[0], alike[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_the_loss_and_the_metrics_are_ones_own():
    def margin(y, logits):
        return ops.mean(ops.square(logits - 5 * y), axis=-1)

    class Mean(keras.metrics.Mean):
        def update_state(self, y, logits, sample_weight=None):
            super().update_state(logits)

    network, taught = student(), teacher()
    method = trainers.KD(kd_weight=0.5, temperature=2.0)
    learner = Trainer(student=network, teacher=taught, method=method)
    learner.compile(
        optimizer="sgd",
        loss=margin,
        loss_weights=0.25,
        metrics=[Mean(name="mean_logit")],
    )
    logs = learner.evaluate(X, ONE_HOT, batch_size=24, verbose=0, return_dict=True)
    logits = network.predict(X, verbose=0)
    own = 0.25 * np.square(logits - 5 * ONE_HOT).mean()
    np.testing.assert_allclose(logs["task_loss"], own, rtol=1e-5)
    np.testing.assert_allclose(logs["loss"], own + logs["kd_loss"], rtol=1e-5)
    np.testing.assert_allclose(logs["mean_logit"], logits.mean(), rtol=1e-4)


def test_the_layers_are_those_that_were_given():
    network, taught = student(), teacher()
    before = taught.get_weights()
    learner = Trainer(student=network, teacher=taught, method=trainers.KD())
    learner.compile(optimizer="sgd", loss=sparse())
    first = network.get_weights()
    learner.fit(X, Y, verbose=0)
    assert any(
        (a != b).any() for a, b in zip(first, network.get_weights(), strict=True)
    )
    for a, b in zip(before, taught.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    logits = learner.predict(X, verbose=0)["logits"]
    np.testing.assert_allclose(logits, network.predict(X, verbose=0), rtol=1e-5)
    assert network.trainable_weights and plain.to_logits(None) is None


def test_what_is_no_such_model_is_refused_in_words():
    class Own(keras.Model):
        def call(self, x):
            return x

    two = keras.Model(inputs := keras.Input((5,)), [inputs, inputs])
    for wrong in (Own(), keras.Sequential([keras.layers.Dense(3)]), two):
        with pytest.raises(ValueError, match="from one input to logits"):
            Trainer(student=wrong, method=trainers.Supervised())
    soft = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, "softmax")])
    with pytest.raises(ValueError, match="ends in a softmax: leave out"):
        Trainer(student=student(), teacher=soft, method=trainers.KD())


COMPARING = [
    name
    for name, kind in trainers.TRAINERS.items()
    if issubclass(kind, FromRepresentations | trainers.LIT)
]


@pytest.mark.parametrize("name", COMPARING)
def test_a_method_that_has_nothing_to_compare_is_refused(name):
    method = trainers.TRAINERS[name]()
    with pytest.raises(ValueError, match=r"representations|section"):
        Trainer(student=student(), teacher=teacher(), method=method)


def test_the_example_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "python.md").read_text()
    (lines,) = re.findall(r"<!-- trainer -->\n```python\n(.*?)```", page, re.DOTALL)
    names = {"keras": keras, "small": student(2), "x": X, "y": np.eye(2)[Y % 2]}
    exec(lines, names | {"model": student(2)})
    assert keras.models.load_model("small.keras").output_shape == (None, 2)
