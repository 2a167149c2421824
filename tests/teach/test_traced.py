"""A network of one's own code becomes a functional one, or its line is named."""

import keras
import numpy as np
import pytest

from distill.runtime.errors import ConfigError
from distill.runtime.trust import scan
from distill.teach import given

RNG = np.random.default_rng(0)
SHAPE = (6, 5, 2)
IMAGES = RNG.random((3, *SHAPE), np.float32)


class Block(keras.layers.Layer):
    """Layers of Keras in a `call` of its own, and a mode for training."""

    def __init__(self, width):
        super().__init__()
        self.conv = keras.layers.Conv2D(width, 3)
        self.norm = keras.layers.BatchNormalization()

    def call(self, inputs, training=False):
        x = self.norm(self.conv(inputs), training=training)
        return keras.ops.relu(x)


class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.block = Block(3)
        self.head = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(4)])

    def call(self, inputs, training=None):
        x = self.block(inputs, training=training)
        return {"logits": self.head(x), "seen": x[:, 1:]}


class Graph(keras.Model):
    """Functional, under a name of one's own."""

    def __init__(self):
        inputs = keras.Input(SHAPE)
        x = keras.layers.Flatten()(Block(2)(inputs))
        super().__init__(inputs, keras.layers.Dense(4)(x))


def functional():
    inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(3, 2)(inputs)
    return keras.Model(inputs, keras.layers.Dense(4)(keras.layers.Flatten()(x)))


def with_layer(layer):
    inputs = keras.Input(SHAPE)
    x = keras.layers.Flatten()(layer(inputs))
    return keras.Model(inputs, keras.layers.Dense(4)(x))


def flat(answers):
    return [np.asarray(part) for part in keras.tree.flatten(answers)]


@pytest.mark.parametrize(
    "build",
    [
        Net,
        Graph,
        functional,
        lambda: keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(4)]),
        lambda: keras.Sequential([keras.Input(SHAPE), Block(2)]),
        lambda: with_layer(keras.layers.Lambda(lambda x: x / 2 - 1)),
        lambda: with_layer(Block(2)),
        lambda: with_layer(keras.Sequential([keras.Input(SHAPE), Block(2)])),
    ],
)
def test_the_file_computes_the_same_and_holds_layers_of_keras_alone(build, tmp_path):
    network = build()
    path = given.save(network, "student", tmp_path, SHAPE)
    scan.members(path)  # Refuses other code.
    read = keras.models.load_model(path, compile=False)
    for made, wanted in zip(flat(read(IMAGES)), flat(network(IMAGES)), strict=True):
        np.testing.assert_allclose(made, wanted, rtol=1e-5, atol=1e-5)
    assert len(read.trainable_variables) == len(network.trainable_variables)


def test_a_mode_for_training_is_traced_too(tmp_path):
    network = Net()
    traced = given.trace(network, "student", SHAPE)
    before = np.asarray(network.block.norm.moving_mean)
    traced(IMAGES, training=False)
    np.testing.assert_array_equal(network.block.norm.moving_mean, before)
    traced(IMAGES, training=True)
    assert np.abs(np.asarray(network.block.norm.moving_mean) - before).max() > 0


def test_names_do_not_count_and_weights_and_layers_do(tmp_path):
    def seeded(build=functional):
        keras.utils.set_random_seed(1)
        return given.save(build(), "student", tmp_path, SHAPE)

    first = seeded()
    assert seeded() == first  # Keras has counted its names up.
    assert given.save(functional(), "student", tmp_path, SHAPE) != first

    def other():
        network = functional()
        network.layers[-1].activation = keras.activations.relu
        return network

    assert seeded(other) != first
    assert len(list(tmp_path.iterdir())) == 3


class Gain(keras.layers.Layer):
    def build(self, shape):
        self.gain = self.add_weight(shape=shape[-1:], name="gain")

    def call(self, inputs):
        return inputs * self.gain


class Branch(keras.Model):
    def call(self, inputs):
        if keras.ops.sum(inputs) > 1:
            return inputs
        return -inputs


class Foreign(keras.Model):
    def call(self, inputs):
        return np.fft.fft(inputs)


class Drawn(keras.Model):
    """Computes something else each time that it is called."""

    calls = 0

    def call(self, inputs):
        self.calls += 1
        return inputs * self.calls


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: with_layer(Gain()), r"gain.*\(Gain\) has weights of its own, gain"),
        (Branch, r"Branch cannot .* test_traced.py:\d+, `if keras.ops.sum\(inputs\) >"),
        (Foreign, r"test_traced.py:\d+, `return np.fft.fft\(inputs\)`"),
        (Drawn, "what Drawn computes changes"),
    ],
)
def test_what_cannot_be_traced_is_named_in_one_line(build, message, tmp_path):
    with pytest.raises(ConfigError, match=message) as caught:
        given.save(build(), "student", tmp_path, SHAPE)
    assert len(str(caught.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_what_is_no_keras_model_is_refused():
    with pytest.raises(ConfigError, match=r"Received: builtins.function"):
        given.check(lambda x: x, "teacher")
