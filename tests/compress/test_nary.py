"""Kernels of few trained levels: nested means at the start, exact codes at the end."""

import pytest

# tf_keras in a process of its own, as in `test_finish.py`.
CHILD = """
import json

import benches
import keras
import numpy as np
import tensorflow as tf

from distill.compress.finishers.nary import Nary
from distill.compress.quantize import levels
from distill.compress.quantize.nested_means import NestedMeans
from distill.measure import graph, parity
from distill.runtime.resume import resume

layers, results = keras.layers, {}
rng = np.random.default_rng(0)
weights = rng.normal(0, 0.1, (3, 3, 8, 16)).astype(np.float32)


def nested(weights, count):
    cuts, level = {}, {}
    for sign in (1, -1):
        side = sign * weights
        cuts[sign] = [0.0]
        for _ in range(count // 2):
            cuts[sign].append(side[side > cuts[sign][-1]].mean())
        for k, cut in enumerate(cuts[sign][1:], 1):
            after = cuts[sign][k + 1] if k < count // 2 else np.inf
            inside = (side >= cut) & (side <= after)
            level[sign * k] = weights[inside].mean(), inside
    return level


# At the start, and the gradients of levels and weights.
pulls = rng.normal(size=weights.shape).astype(np.float32)
results["start"] = {}
for count in (3, 5, 7):
    made, expected = NestedMeans(weights, count), nested(weights, count)
    variable = tf.Variable(weights)
    with tf.GradientTape() as tape:
        rounded = made(variable)
        loss = tf.reduce_sum(rounded * pulls)
    to_levels, to_weights = tape.gradient(loss, [made.values, variable])
    unit = max(abs(mean) for mean, _ in expected.values()) / 127
    wanted = np.zeros_like(weights)
    for mean, inside in expected.values():
        wanted[inside] = round(float(mean / unit)) * unit
    places = [k + count // 2 for k in expected]
    means = [float(mean) for mean, _ in expected.values()]
    sums = [float(pulls[inside].sum()) for _, inside in expected.values()]
    results["start"][count] = {
        "levels": [float(abs(made.values.numpy()[places] - means).max()), max(means)],
        "rounded": float(abs(rounded.numpy() - wanted).max()),
        "to_levels": float(abs(to_levels.numpy()[places] - sums).max()),
        "to_zero": float(to_levels.numpy()[count // 2]),
        "to_weights": float(abs(to_weights.numpy() - pulls).max()),
    }
one_sided = NestedMeans(np.array([0.1, 0.2, 0.0, 0.0], np.float32), 7)
results["one_sided"] = one_sided.find_codes(tf.constant([0.2, 0.1, -9.0, 0.0])).tolist()
zeros = np.zeros((4, 4), np.float32)
results["zeros"] = float(abs(NestedMeans(zeros, 3)(zeros)).numpy().max())

# A training. The head is below the size from which the converter quantizes.
run, folder = benches.begin("[{name: nary, options: {epochs: 1, learning_rate: 0.01}}]")
images = keras.Input((8, 8, 1), name="images")
x = layers.Conv2D(8, 3, strides=2, use_bias=False, name="stem")(images)
norm = layers.BatchNormalization(
    gamma_initializer=keras.initializers.RandomUniform(-2, 2)  # Some are negative.
)
x = layers.ReLU()(norm(x))
x = layers.Conv2D(16, 3, padding="same", use_bias=False, name="middle")(x)
norm = layers.BatchNormalization(
    gamma_initializer=keras.initializers.RandomUniform(-2, 2)
)
x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(layers.ReLU()(norm(x)))
x = layers.Conv2DTranspose(4, 2, name="up")(x)
x = layers.Reshape((-1, 4))(x)
x = layers.Flatten()(layers.Conv1D(6, 3, name="row")(x))
student = keras.Model(images, {"logits": layers.Dense(10, name="head")(x)})
work = benches.open_bench(run, folder, student)
(inner,), every = run.finish, Nary(ends="levels", levels=3, epochs=1)


def constants(file):
    own = graph.Graph(file)
    used = {index for op in own.ops for index in op.inputs if own.is_constant(index)}
    return {
        own.tensor_name(index): (own.values(index), own.kernel(index))
        for index in used
        if len(own.shape(index)) > 1
    }


inputs = work.validation.floats()[:100]
for name, part in (("inner", inner), ("every", every)):
    model, codes = work.level(work.twin(), part)
    work.store("nary").clear()
    file = work.store_codes(model, codes)
    plain = work.convert(model, "float32")
    exact, pairs = parity.predict(plain, inputs), constants(plain)
    results[name] = {
        "codes": [len(np.unique(code)) for code in codes],
        "kernels": {
            key: {
                "bits": kernel.bits,
                "levels": kernel.channel_distinct,
                "error": float(abs(pairs[key][0] / values - 1)[values != 0].max()),
                "zeros": [kernel.zeros, pairs[key][1].zeros],
            }
            for key, (values, kernel) in constants(file).items()
        },
        "logits": [
            float(abs(parity.predict(file, inputs) - exact).max()),
            float(abs(exact).max()),
        ],
    }

# A kill after each step.
whole = inner.make(work)
work.store("nary").clear()
commit, killed = resume._Saver._commit, []


def dies(self):
    commit(self)
    killed.append(self.step)
    raise KeyboardInterrupt


resume._Saver._commit, resume.seconds_between_moments = dies, lambda: 0.0
for step in range(1, work.steps_per_epoch(run.finish[0])):
    try:
        inner.make(work)
    except KeyboardInterrupt:
        pass
steps = list(range(1, work.steps_per_epoch(run.finish[0])))
results["killed"] = [killed == steps, inner.make(work) == whole]
print(json.dumps(results))
"""


@pytest.mark.parametrize("count", ["3", "5", "7"])
def test_levels_start_as_nested_means(results, count):
    start = results["start"][count]
    assert start["levels"][0] < 1e-6
    assert start["rounded"] < 1e-6


@pytest.mark.parametrize("count", ["3", "5", "7"])
def test_a_level_gets_the_gradient_of_its_weights_and_a_weight_its_own(results, count):
    start = results["start"][count]
    assert start["to_levels"] < 1e-3
    assert start["to_zero"] == 0
    assert start["to_weights"] == 0


def test_a_kernel_may_have_weights_of_one_sign_or_none(results):
    assert results["one_sided"] == [127, 0, 0, 0]
    assert results["zeros"] == 0


def test_a_file_has_the_levels_in_every_kernel_but_those_at_the_ends(results):
    for name, count, free in (
        ("inner", 5, {"stem", "head", "depthwise"}),
        ("every", 3, {"depthwise"}),
    ):
        kernels = results[name]["kernels"]
        assert len(kernels) == 6
        assert {kernel["bits"] for kernel in kernels.values()} == {8}
        for key, kernel in kernels.items():
            if not any(word in key for word in free):
                assert kernel["levels"] <= count, key
                assert kernel["zeros"][0] == kernel["zeros"][1] > 0
        assert len(results[name]["codes"]) == 6 - len(free)
        assert max(results[name]["codes"]) == count


def test_a_file_has_the_kernels_and_the_logits_of_the_trained_model(results):
    for name in ("inner", "every"):
        kernels = results[name]["kernels"]
        exact = [each for key, each in kernels.items() if each["levels"] <= 5]
        assert max(each["error"] for each in exact) < 2**-8  # Scales of 16 bits.
        worst, scale = results[name]["logits"]
        assert worst < 0.05 * scale


def test_a_kill_after_each_step_changes_no_byte(results):
    assert results["killed"] == [True, True]
