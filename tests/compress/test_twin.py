"""A twin in tf_keras answers as its model, or every layer in the way is named."""

import subprocess
import sys

import pytest

# tf_keras and TF-MOT in a process of their own, as in `test_finish.py`.
CHILD = """
import json
import sys
import warnings

import keras
import numpy as np
from keras import layers, ops

from distill import compress
from distill.compress.twin import counterparts, twin

warnings.filterwarnings("ignore", "When providing .inputs. as a dict")
results = {}


def tried(name, model):
    rng = np.random.default_rng(0)
    for variable in model.variables:
        if "float" in str(variable.dtype):
            noise = rng.uniform(0.01, 0.05, variable.shape)
            variable.assign(variable + noise.astype("float32"))
    try:
        copy = compress.to_tf_keras(model)
    except twin.NoTwin as mistake:
        results[name] = {"refused": str(mistake), "layers": mistake.layers}
        return None
    results[name] = {"layers": [type(layer).__name__ for layer in copy.layers]}
    return copy


images, other = keras.Input((6, 6, 3), name="a"), keras.Input((6, 6, 3), name="b")


def conv(activation):
    return layers.Conv2D(4, 3, padding="same", activation=activation)


# Arithmetic of tensors and constants, on both sides; pooling; shapes.
x, y = conv("hard_silu")(images), conv("relu6")(other)
z = 1.0 - (ops.multiply(x, y) + 3.0 - x) / 2.0
z = ops.concatenate([z, ops.relu6(-z), ops.hard_sigmoid(z), ops.silu(2.0 * z)], axis=-1)
z = layers.LeakyReLU(0.3)(z - np.arange(16, dtype="float32"))
mean, most = ops.mean(z, axis=(1, 2)), ops.max(z, axis=[1, 2], keepdims=True)
more = [ops.reshape(most, (-1, 16)), ops.expand_dims(mean, 1)]
outputs = {"mean": mean, "more": more}
copy = tried("operations", keras.Model({"a": images, "b": other}, outputs))
results["structure"] = sorted(copy.output), len(copy.output["more"]), sorted(copy.input)

# Values that are moved or chosen.
a, b = ops.split(images, 2, axis=1)
parts = [a[:, ::2, 1:-1], b[..., 0], ops.take(b, [2, 0, -1], axis=-1)]
parts += [ops.swapaxes(a, 1, 3), ops.transpose(b, (0, 3, 1, 2)), ops.minimum(a, b)]
parts = [ops.concatenate([layers.Flatten()(part)], axis=-1) for part in parts]
moved = keras.Model(images, ops.concatenate(parts, axis=-1))
drawn = np.random.default_rng(2).uniform(size=(3, 6, 6, 3)).astype("float32")
twin.check_equal(moved, tried("moved", moved), drawn)
tried("examples", keras.Model(images, images[0]))

for name in (
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
    "silu",
    "gelu",
    "elu",
    "selu",
    "hard_sigmoid",
    "leaky_relu",
    "mish",
    "softplus",
    "exponential",
):
    tried(f"activation {name}", keras.Model(images, layers.Activation(name)(images)))

shared = layers.Dense(3, activation="hard_silu", name="shared")
inner = keras.Sequential([layers.Dense(3), layers.Dropout(0.5)], name="inner")
tried("shared", keras.Model(images, inner(shared(shared(inner(images))))))

left = keras.Sequential([layers.Dense(3, name="x_c")], name="n")
right = keras.Sequential([layers.Dense(3, name="c")], name="n_x")
tried("names", keras.Model(images, right(left(images))))

norm = layers.Normalization()
norm.adapt(np.random.default_rng(1).normal(2, 3, (50, 6, 6, 3)).astype("float32"))
tried("normalization", keras.Model(images, norm(layers.Rescaling(2.0, -1.0)(images))))
words = keras.Input((5,), dtype="int32")
x = layers.LSTM(3)(layers.Embedding(4, 2)(words))
tried("whole numbers", keras.Model(words, x))


@keras.saving.register_keras_serializable("test")
class Dense(layers.Layer):
    def call(self, x):
        return x


x = Dense(name="mine")(ops.sort(images))
x = layers.RMSNormalization(name="rms")(layers.Activation("squareplus", name="act")(x))
tried("blocked", keras.Model(images, layers.LayerNormalization(name="fine")(x)))
tried("option", keras.Model(images, layers.Resizing(4, 4, antialias=True)(images)))

# A twin that computes otherwise is not handed out.
counterparts._COMPOSED["hard_silu"] = counterparts._COMPOSED["relu6"]
tried("unequal", keras.Model(images, layers.Activation("hard_silu")(images)))
results["heavy"] = "tensorflow_model_optimization" in sys.modules
print(json.dumps(results))
"""


def test_the_package_itself_is_free_of_tf_keras():
    code = "import distill.compress, sys; print('tf_keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["False"]


def test_operations_become_layers_and_structures_are_kept(results):
    made = results["operations"]["layers"]
    assert "refused" not in results["operations"]
    assert not {"TFOpLambda", "SlicingOpLambda", "Lambda"} & set(made)
    assert results["structure"] == [["mean", "more"], 2, ["a", "b"]]


def test_an_activation_is_the_same_function_or_none(results):
    activations = {
        name: results[name] for name in results if name.startswith("activation")
    }
    refused = {name for name, found in activations.items() if "refused" in found}
    assert refused <= {"activation mish"}


@pytest.mark.parametrize("name", ["shared", "names", "normalization", "whole numbers"])
def test_more_models_have_equal_twins(results, name):
    assert "refused" not in results[name]


def test_values_are_moved_and_chosen_within_an_example(results):
    assert "refused" not in results["moved"]
    assert "it chooses among the examples" in results["examples"]["refused"]


def test_a_shared_layer_and_its_activation_are_made_once(results):
    assert results["shared"]["layers"].count("Multiply") == 1


def test_every_layer_without_a_twin_is_named_with_the_reason(results):
    text, named = results["blocked"]["refused"], results["blocked"]["layers"]
    assert len(named) == 4
    for name, why in named.items():
        assert f"{name}: {why}" in text
    assert "not a standard layer" in named["`mine` (Dense)"]
    assert "no such layer" in named["`rms` (RMSNormalization)"]
    assert "`squareplus`" in named["`act` (Activation)"]
    assert "`sort` (Sort)" in named


def test_an_option_that_would_be_lost_is_refused(results):
    assert "`antialias`, here True" in results["option"]["refused"]


def test_a_twin_that_answers_otherwise_is_refused(results):
    assert "gives other outputs: largest difference" in results["unequal"]["refused"]


def test_it_needs_no_tfmot(results):
    assert not results["heavy"]
