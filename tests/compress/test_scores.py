"""Scores of weights are what their formulas say, worked out another way in NumPy."""

import numpy as np
import pytest

from distill.compress.prune import scores

RNG = np.random.default_rng(0)


def test_sensitivity_is_the_largest_share_of_a_sum():
    kernel, patches = RNG.normal(size=(5, 3)), RNG.normal(size=(7, 5))
    wanted = np.zeros((5, 3))
    for row in patches:
        for j in range(3):
            parts = {(s, t): 0.0 for s in (1, -1) for t in (1, -1)}
            for w, a in zip(kernel[:, j], row, strict=True):
                parts[np.sign(a), np.sign(w)] += abs(w * a)
            for i, (w, a) in enumerate(zip(kernel[:, j], row, strict=True)):
                share = abs(w * a) / parts[np.sign(a), np.sign(w)]
                wanted[i, j] = max(wanted[i, j], share)
    np.testing.assert_allclose(scores.sensitivities(kernel, patches), wanted)


def test_lamp_is_a_share_of_the_squares_that_are_no_smaller():
    kernel = RNG.normal(size=(3, 2, 4))
    squares = kernel.ravel() ** 2
    wanted = [one / squares[squares >= one].sum() for one in squares]
    np.testing.assert_allclose(scores.lamp(kernel, None).ravel(), wanted)
    assert (scores.lamp(np.zeros((2, 2)), None) == 0).all()


def test_weights_are_ranked_by_it_in_their_neuron():
    kernel, patches = RNG.normal(size=(2, 2, 1, 3)), RNG.normal(size=(7, 4))
    response = scores.Response(None, None, patches)
    ranks = scores.sensitivity(kernel, response).reshape(4, 3)
    shares = scores.sensitivities(kernel.reshape(4, 3), patches)
    assert (np.sort(ranks, 0) == np.array([[0.25], [0.5], [0.75], [1.0]])).all()
    assert (ranks.argsort(0) == shares.argsort(0, kind="stable")).all()


# tf_keras in a process of its own, as in `test_finish.py`.
CHILD = """
import json

import numpy as np
import tensorflow as tf
import tf_keras

from distill.compress.prune import responses, scores

layers, rng, results = tf_keras.layers, np.random.default_rng(0), {}
inputs = tf_keras.Input((6, 5, 2))
x = layers.Conv2D(4, 3, 2, padding="same", activation="relu", name="first")(inputs)
x = layers.BatchNormalization(name="norm")(x)
x = layers.Conv2D(4, (2, 1), groups=2, name="grouped")(x)
x = layers.Conv2DTranspose(3, 3, name="transposed")(x)
shared = layers.Dense(3, activation="tanh", name="shared")
x = layers.Flatten()(shared(shared(x)))
model = tf_keras.Model(inputs, layers.Dense(5, name="head")(x))
model.set_weights([rng.normal(size=w.shape) ** 2 for w in model.get_weights()])
images = rng.normal(size=(100, 6, 5, 2)).astype("float32")
names = ["first", "grouped", "transposed", "shared", "head"]
kernels = [model.get_layer(name) for name in names]
sure = np.full((100, 5), -1e9, "float32")  # A teacher without a doubt.
labels = rng.integers(0, 5, 100)
sure[np.arange(100), labels] = 0
known = responses.Images(images, sure, 0)
norms = [w.tolist() for w in model.get_layer("norm").get_weights()]
made = responses.Pass(model, kernels, known)(0)

# The head by hand; the norm sees the batch, and keeps what it has seen before.
norm = model.get_layer("norm")
results["kept"] = [w.tolist() for w in norm.get_weights()] == norms
before = tf_keras.Model(inputs, x)(images, training=True).numpy()
logits = model(images, training=True).numpy()
odds = np.exp((logits - logits.max(-1, keepdims=True)) / 4)
slopes = (odds / odds.sum(-1, keepdims=True) - np.eye(5)[labels]) / 4
weights = model.get_layer("head").kernel.numpy()
wanted = weights**2 * (before**2).mean(0)[:, None] * (slopes**2).mean(0) / 2
found = scores.kfac(weights, made[-1])
results["head"] = float(abs(found - wanted).max() / wanted.max())

# The first convolution: unfolded inputs; slopes by moving its bias place by place.
patches = tf.image.extract_patches(
    images, (1, 3, 3, 1), (1, 2, 2, 1), (1, 1, 1, 1), "SAME"
).numpy()
squares = (patches**2).sum((1, 2)).mean(0).reshape(3, 3, 2)
error = abs(made[0].inputs - squares[..., None]).max()
results["inputs"] = float(error / squares.max())
first = model.get_layer("first")
rest = tf_keras.Model(norm.input, model.output)
linear = tf.nn.conv2d(images, first.kernel, 2, "SAME") + first.bias
with tf.GradientTape() as tape:
    tape.watch(linear)
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels, rest(tf.nn.relu(linear), training=True) / 4
    )
slope = tape.gradient(loss, linear).numpy()
wanted = (slope**2).mean((1, 2)).mean(0)
results["slopes"] = float(abs(made[0].gradients - wanted).max() / wanted.max())
results["shapes"] = all(
    one.inputs.shape == layer.kernel.shape
    and one.gradients.shape == (layer.output_shape[-1],)
    for one, layer in zip(made, kernels)
    if layer is not shared
)
results["activation"] = first.activation is tf_keras.activations.relu

# What is unfolded is what the kernel multiplies.
found = responses.Pass(model, [first], known, patches=True)(0)[0].patches
kernel = first.kernel.numpy().reshape(-1, 4)
whole = linear.numpy().reshape(100, -1, 4) - first.bias.numpy()
step = -(-whole.shape[1] // 4)
results["patches"] = float(abs(found @ kernel - whole[:, ::step].reshape(-1, 4)).max())

# A kernel before a norm, ten times smaller, while the norm remembers the larger one.
plain = tf_keras.Input((6, 5, 2))
y = layers.Conv2D(4, 3, use_bias=False, name="scaled")(plain)
y = layers.ReLU()(layers.BatchNormalization(epsilon=1e-7)(y))
small = tf_keras.Model(plain, layers.Dense(5)(layers.Flatten()(y)))
(scaled,) = (layer for layer in small.layers if layer.name == "scaled")
worth = []
for factor in (1, 0.1):
    scaled.kernel.assign(factor * scaled.kernel)
    (met,) = responses.Pass(small, [scaled], known)(0)
    worth.append(scores.kfac(scaled.kernel.numpy(), met))
results["scale"] = float(abs(worth[1] / worth[0] - 1).max())

# Drawn labels: alike for a step, and from what the model holds likely.
alone = responses.Pass(model, kernels, responses.Images(images, None, 0))
one, again, other = (alone(step)[-1].gradients for step in (3, 3, 4))
results["drawn"] = [bool((one == again).all()), bool((one == other).all())]

# Logits of a network that has learnt its images by heart, but for two of them.
by_heart = np.zeros((200, 5), "float32")
by_heart[np.arange(200), np.arange(200) % 5] = 12
by_heart[:2] = [[12, 11, 0, 0, 0], [11, 12, 0, 0, 0]]
logits = tf_keras.Input((5,))
last = layers.Dense(5, use_bias=False, name="last")
sure = tf_keras.Model(logits, last(logits))
last.set_weights([np.eye(5)])
(met,) = responses.Pass(sure, [last], responses.Images(by_heart, None, 0))(0)
results["by heart"] = float(met.gradients.max() / met.gradients.min())
print(json.dumps(results))
"""


@pytest.mark.parametrize("what", ["head", "inputs", "slopes", "patches"])
def test_one_pass_gathers_what_the_formulas_ask_for(results, what):
    assert results[what] < 1e-4


def test_a_pass_leaves_the_network_as_it_was(results):
    assert results["activation"] and results["shapes"] and results["kept"]


def test_scores_do_not_depend_on_a_scale_that_a_norm_takes_out(results):
    assert results["scale"] < 1e-3


def test_no_class_is_forgotten_by_a_network_that_is_sure_of_its_images(results):
    """By these gradients, the neurons of the last kernel are compared."""
    assert results["by heart"] < 5


def test_labels_are_drawn_by_the_step(results):
    assert results["drawn"] == [True, False]
