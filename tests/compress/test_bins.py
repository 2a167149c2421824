"""Kernels in bins of trained width: the loss is rate and distortion, as by hand."""

import numpy as np
import pytest

# tf_keras in a process of its own, as in `test_finish.py`.
CHILD = """
import json

import numpy as np
import tensorflow as tf
import tf_keras

from distill.compress import training
from distill.compress.finishers import coded
from distill.compress.quantize import bins, levels
from distill.runtime import errors

layers, results = tf_keras.layers, {}
tf_keras.utils.set_random_seed(0)


def twin():
    images = tf_keras.Input((6, 6, 1))
    x = layers.Conv2D(4, 3, use_bias=False, name="stem")(images)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return tf_keras.Model(images, layers.Dense(10, name="head")(layers.Flatten()(x)))


rng = np.random.default_rng(0)
inputs = rng.uniform(size=(36, 6, 6, 1)).astype("float32")
logits = rng.normal(size=(36, 10))
targets = np.column_stack([rng.integers(0, 10, 36), logits]).astype("float32")


# The loss of one step, and what a formula in NumPy needs to know.
def record(tradeoff, width=None):
    model = bins.wrap(twin(), width)
    part = coded.Coded(tradeoff=tradeoff, width=width, temperature=2.0)
    changes = {}
    bins.train(model, tradeoff, lambda _, **given: changes.update(given))
    training.prepare(
        model, part, 9, taught=True, changes=training.Changes(**changes)
    )
    kernels = levels.find(model)
    return {
        "loss": float(model.compiled_loss(tf.constant(targets), model(inputs))),
        "answers": model(inputs).numpy().tolist(),
        "kernels": [kernel.variable.numpy().ravel().tolist() for kernel in kernels],
        "widths": [float(kernel.levels.width) for kernel in kernels],
        "trained": [len(kernel.levels.trainable_weights) for kernel in kernels],
        "optimizer": type(model.optimizer).__name__,
    }


results["losses"] = {name: record(name) for name in ("product", 0.5)}
results["fixed"] = {name: record(name, width=2.0) for name in (0, 0.5)}
results["targets"] = targets.tolist()

# Too many levels, and a kernel that is zero throughout.
model = bins.wrap(twin())
levels.find(model)[0].levels.log_width.assign(-9.0)
try:
    bins.train(model, 0.5, lambda *_, **__: None)
except errors.FinishError as error:
    results["too many"] = str(error)
zero = levels.find(bins.wrap(twin()))[0]
zero.layer.kernel.assign(tf.zeros_like(zero.variable))
empty = bins.Bins(np.zeros(4))
results["zero"] = [float(x.bits(zero.variable)) for x in (zero.levels, empty)]
rate, nothing = tf.constant(2.0), tf.Variable(0.0)
with tf.GradientTape() as tape:
    loss = bins.log_product(nothing, rate)
results["perfect"] = [float(loss), float(tape.gradient(loss, nothing))]
print(json.dumps(results))
"""


def laplace(x, scale):
    """The cumulated distribution, as tables have it."""
    return np.where(x < 0, np.exp(x / scale) / 2, 1 - np.exp(-x / scale) / 2)


def rate(kernels, widths):
    """Bits of a weight: the sum of -log2 P(k), by its definition."""
    bits = 0.0
    for weights, width in zip(map(np.array, kernels), widths, strict=True):
        k, scale = np.rint(weights / width), np.abs(weights).mean()
        upper, lower = (laplace((k + x) * width, scale) for x in (0.5, -0.5))
        bits -= np.log2(upper - lower).sum()
    return bits / sum(map(len, kernels))


def log_softmax(logits):
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


@pytest.mark.parametrize(
    ("kind", "tradeoff"),
    [("losses", "product"), ("losses", "0.5"), ("fixed", "0.5"), ("fixed", "0")],
)
def test_the_loss_is_that_of_the_formula(results, kind, tradeoff):
    found, targets = results[kind][tradeoff], np.array(results["targets"])
    answers = np.array(found["answers"])
    rows = np.arange(len(answers)), targets[:, 0].astype(int)
    teacher, student = (log_softmax(x / 2) for x in (targets[:, 1:], answers))
    divergence = (np.exp(teacher) * (teacher - student)).sum(1).mean()
    distortion = 0.9 * 4 * divergence - 0.1 * log_softmax(answers)[rows].mean()
    bits = rate(found["kernels"], found["widths"])
    wanted = {
        "product": np.log(distortion) + np.log(bits),
        "0.5": distortion + 0.5 * bits,
        "0": distortion,
    }
    assert found["loss"] == pytest.approx(wanted[tradeoff], rel=1e-4)
    assert found["optimizer"] == "Adam"


def test_a_fixed_width_is_in_standard_deviations_and_does_not_train(results):
    for found, width, trained in (("losses", 1, 1), ("fixed", 2, 0)):
        record = results[found]["0.5"]
        assert record["trained"] == [trained] * len(record["kernels"])
        deviations = [np.std(kernel) for kernel in record["kernels"]]
        assert record["widths"] == pytest.approx(width * np.array(deviations), rel=1e-4)


def test_too_many_levels_are_refused_by_name(results):
    assert "`stem` has" in results["too many"] and "holds 127" in results["too many"]


def test_a_kernel_of_zeros_costs_nothing(results):
    assert results["zero"][0] == pytest.approx(0, abs=1e-3)
    assert np.isfinite(results["zero"]).all()


def test_a_product_without_distortion_has_a_loss_and_no_endless_slope(results):
    assert np.isfinite(results["perfect"]).all()
