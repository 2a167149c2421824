"""Kernels on trained levels, and what an engine may change in a training."""

import pytest

# tf_keras in a process of its own, as in `test_finish.py`.
CHILD = """
import dataclasses
import json

import benches
import keras
import numpy as np
import tensorflow as tf
import tf_keras

from distill.compress import training
from distill.compress.finishers import quantized
from distill.compress.quantize import levels
from distill.runtime.resume import resume

layers, results = keras.layers, {}
run, folder = benches.begin("[{name: int8}]")
images = keras.Input((8, 8, 1), name="images")
x = layers.Conv2D(8, 3, strides=2, use_bias=False, name="stem")(images)
x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
x = layers.Flatten()(layers.Conv2DTranspose(4, 2, name="up")(x))
logits = layers.Dense(10, name="head")(layers.Dense(6, name="inner")(x))
student = keras.Model(images, {"logits": logits})
work = benches.open_bench(run, folder, student)
inputs = work.validation.floats()[:50]


class Multiples(levels.Levels):
    def __init__(self, kernel):
        super().__init__(name="multiples")
        start = tf_keras.initializers.Constant(kernel.numpy().std())
        self.width = self.add_weight("width", (), initializer=start)

    def call(self, weights):
        scaled = weights / self.width
        return self.width * levels.straight_through(scaled, tf.round(scaled))


def wrapped():
    return levels.wrap(
        work.twin(),
        lambda layer: None if layer.name == "inner" else Multiples(layer.kernel),
    )


# Which kernels, and that the network computes with the rounded ones alone.
model = wrapped()
found = levels.find(model)
results["layers"] = [kernel.layer.name for kernel in found]
plain = levels.unwrap(model)
results["unwrapped"] = float(np.abs(model(inputs) - plain(inputs)).max())
results["rounded"] = float(np.abs(plain(inputs) - work.twin()(inputs)).max())
codes = [np.asarray(kernel.rounded / kernel.levels.width) for kernel in found]
results["multiples"] = max(float(np.abs(x - x.round()).max()) for x in codes)
with tf.GradientTape() as tape:
    loss = tf.reduce_sum(model(inputs) ** 2)
variables = [found[0].variable, found[0].levels.width]
results["gradients"] = [float(tf.norm(x)) for x in tape.gradient(loss, variables)]

part = quantized.Int8(epochs=2, learning_rate=0.01)


def fitted(start=None, **changes):
    model = wrapped() if start is None else start
    work.fit(model, part, **changes)
    work.store("int8").clear()
    return model


def far(one, two):
    pairs = zip(one.get_weights(), two.get_weights(), strict=True)
    return max(float(np.abs(a - b).max()) for a, b in pairs)


# A penalty: nothing if it is zero; else a term and a metric, joined by `combine`.
reference = fitted()


def rate():
    return tf.add_n([tf.reduce_sum(tf.abs(x.rounded)) for x in levels.find(model)])


def nothing():
    return tf.constant(0.0)


results["zero"] = far(reference, fitted(penalty=nothing))
results["metrics"] = sorted(work.trained["int8"][0])
model = wrapped()
before = float(rate())
fitted(model, penalty=rate)
results["penalty"] = [before, float(rate())]
joined = []


def product(distortion, penalty):
    joined.append([list(distortion.shape), list(penalty.shape)])
    return tf.math.log(distortion) + tf.math.log(penalty)


model = wrapped()
fitted(model, penalty=rate, combine=product)
history = work.trained["int8"][0]
results["joined"] = joined[0]
terms = history["task_loss"][0] + history.get("kd_loss", [0])[0]
logs = float(np.log(terms) + np.log(history["rate"][0]))
results["product"] = [history["loss"][0], logs]
model = wrapped()
training.prepare(
    model, part, 9, taught=False, changes=training.Changes(optimizer="adam")
)
results["optimizer"] = type(model.optimizer).__name__

# A kill after each step: the levels' variables are in the checkpoints, and what an
# engine names in `state`.
commit, killed = resume._Saver._commit, []


def dies(self):
    commit(self)
    killed.append(self.step)
    raise KeyboardInterrupt


class Counts(tf_keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        count.assign_add(1.0)


count = tf.Variable(0.0)


def trained(model):
    changes = {"penalty": rate, "optimizer": "adam", "state": [count]}
    short = dataclasses.replace(part, epochs=1)
    work.fit(model, short, callbacks=[Counts()], **changes)
    return model


model = wrapped()
whole = trained(model)
work.store("int8").clear()
resume._Saver._commit, resume.seconds_between_moments = dies, lambda: 0.0
steps = work.steps_per_epoch(run.finish[0])
for step in range(1, steps):
    count.assign(100.0)
    model = wrapped()
    try:
        trained(model)
    except KeyboardInterrupt:
        pass
model = wrapped()
count.assign(100.0)
results["killed"] = [killed == list(range(1, steps)), far(whole, trained(model))]
results["count"] = [float(count), 100.0 + steps]
print(json.dumps(results))
"""


def test_the_chosen_kernels_but_no_depthwise_one_are_on_levels(results):
    assert results["layers"] == ["stem", "up", "head"]


def test_a_network_computes_with_rounded_kernels_and_keeps_them(results):
    assert results["unwrapped"] == 0 < results["rounded"]
    assert results["multiples"] < 1e-5


def test_gradients_reach_weights_and_levels(results):
    assert min(results["gradients"]) > 0


def test_a_penalty_of_zero_changes_nothing(results):
    assert results["zero"] < 1e-5
    assert {"nothing", "val_nothing", "task_loss"} <= set(results["metrics"])


def test_a_penalty_becomes_smaller(results):
    before, after = results["penalty"]
    assert after < 0.95 * before


def test_an_engine_may_combine_the_terms_and_choose_the_optimizer(results):
    assert results["joined"] == [[], []]
    loss, product = results["product"]
    assert loss == pytest.approx(product, abs=0.05)  # A mean of logs, a log of means.
    assert results["optimizer"] == "Adam"


def test_a_kill_after_each_step_changes_no_weight(results):
    assert results["killed"] == [True, 0]
    assert results["count"][0] == results["count"][1]
