"""Kernels on trained levels, and what an engine may change in a training."""

import json
import pathlib
import subprocess
import sys

import pytest

# tf_keras in a process of its own, as in `test_finish.py`.
CHILD = """
import dataclasses
import json
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from distill import config
from distill.compress import training
from distill.compress.finishers import quantized
from distill.compress.quantize import levels
from distill.run import child
from distill.runtime.resume import resume

layers, said = keras.layers, {}
folder = pathlib.Path(sys.argv[1])
(folder / "checkpoint").mkdir()
run = config.load(
    "finish_resnet.yaml",
    [
        "data.options.train_examples=120",
        "batch_size=36",
        "augmentation={}",
        "finish=[{name: int8}]",
    ],
)
keras.utils.set_random_seed(0)
images = keras.Input((8, 8, 1), name="images")
x = layers.Conv2D(8, 3, strides=2, use_bias=False, name="stem")(images)
x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
x = layers.Flatten()(layers.Conv2DTranspose(4, 2, name="up")(x))
logits = layers.Dense(10, name="head")(layers.Dense(6, name="inner")(x))
student = keras.Model(images, {"logits": logits})
student.save(folder / "student.keras")
work = child.open_workbench(run, folder)
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
said["layers"] = [kernel.layer.name for kernel in found]
plain = levels.unwrap(model)
said["unwrapped"] = float(np.abs(model(inputs) - plain(inputs)).max())
said["rounded"] = float(np.abs(plain(inputs) - work.twin()(inputs)).max())
codes = [np.asarray(kernel.rounded / kernel.levels.width) for kernel in found]
said["multiples"] = max(float(np.abs(x - x.round()).max()) for x in codes)
with tf.GradientTape() as tape:
    loss = tf.reduce_sum(model(inputs) ** 2)
variables = [found[0].variable, found[0].levels.width]
said["gradients"] = [float(tf.norm(x)) for x in tape.gradient(loss, variables)]

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


said["zero"] = far(reference, fitted(penalty=nothing))
said["metrics"] = sorted(work.trained["int8"][0])
model = wrapped()
before = float(rate())
fitted(model, penalty=rate)
said["penalty"] = [before, float(rate())]
joined = []


def product(distortion, penalty):
    joined.append([list(distortion.shape), list(penalty.shape)])
    return tf.math.log(distortion) + tf.math.log(penalty)


model = wrapped()
fitted(model, penalty=rate, combine=product)
history = work.trained["int8"][0]
said["joined"] = joined[0]
terms = history["task_loss"][0] + history.get("kd_loss", [0])[0]
logs = float(np.log(terms) + np.log(history["rate"][0]))
said["product"] = [history["loss"][0], logs]
model = wrapped()
training.prepare(
    model, part, 9, taught=False, changes=training.Changes(optimizer="adam")
)
said["optimizer"] = type(model.optimizer).__name__

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
steps = work.steps_per_epoch
for step in range(1, steps):
    count.assign(100.0)
    model = wrapped()
    try:
        trained(model)
    except KeyboardInterrupt:
        pass
model = wrapped()
count.assign(100.0)
said["killed"] = [killed == list(range(1, steps)), far(whole, trained(model))]
said["count"] = [float(count), 100.0 + steps]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    root = pathlib.Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path_factory.mktemp("run"))],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_the_chosen_kernels_but_no_depthwise_one_are_on_levels(said):
    assert said["layers"] == ["stem", "up", "head"]


def test_a_network_computes_with_rounded_kernels_and_keeps_them(said):
    assert said["unwrapped"] == 0 < said["rounded"]
    assert said["multiples"] < 1e-5


def test_gradients_reach_weights_and_levels(said):
    assert min(said["gradients"]) > 0


def test_a_penalty_of_zero_changes_nothing(said):
    assert said["zero"] < 1e-5
    assert {"nothing", "val_nothing", "task_loss"} <= set(said["metrics"])


def test_a_penalty_becomes_smaller(said):
    before, after = said["penalty"]
    assert after < 0.95 * before


def test_an_engine_may_combine_the_terms_and_choose_the_optimizer(said):
    assert said["joined"] == [[], []]
    loss, product = said["product"]
    assert loss == pytest.approx(product, abs=0.05)  # A mean of logs, a log of means.
    assert said["optimizer"] == "Adam"


def test_a_kill_after_each_step_changes_no_weight(said):
    assert said["killed"] == [True, 0]
    assert said["count"][0] == said["count"][1]
