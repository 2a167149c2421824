"""In mixed precision nothing is converted that the next layer converts back."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from distill.teach.hardware import precision

IMAGES = np.random.default_rng(0).random((4, 6, 6, 3), np.float32)


def section(kind):
    """A network within a network; of a functional one two layers read the input."""
    convolution = keras.layers.Conv2D(3, 3, padding="same")
    inputs = keras.Input((6, 6, 3))
    if kind == "sequential":
        return keras.Sequential([inputs, convolution])
    return keras.Model(inputs, keras.layers.Add()([convolution(inputs), inputs]))


@pytest.fixture(params=["functional", "sequential"])
def network(request):
    """A convolution and two sections."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 3))
    outputs = keras.layers.Conv2D(3, 3, padding="same")(inputs)
    for _ in range(2):
        outputs = section(request.param)(outputs)
    return keras.Model(inputs, outputs)


def conversions(network, source):
    """How many operations of the network convert batches from a type."""
    traced = tf.function(network).get_concrete_function(
        tf.TensorSpec(IMAGES.shape, tf.float32)
    )
    nodes = traced.graph.get_operations()
    return sum(
        node.type == "Cast"
        and node.inputs[0].dtype == source
        # Kernels have as many dimensions, but a batch has the size of `IMAGES`.
        and node.inputs[0].shape[0] == len(IMAGES)
        and node.outputs[0].consumers() != []
        for node in nodes
    )


def test_sections_take_what_sections_return(network):
    with precision.scope(network, "mixed_bfloat16"):
        assert conversions(network, tf.bfloat16) == 0
        assert conversions(network, tf.float32) == 1  # The images.


def test_answers_are_those_without_sections(network):
    inputs = keras.Input((6, 6, 3))
    first, *sections = network.layers[1:]
    outputs = first(inputs)
    for part in sections:
        layers = [each for each in part.layers if each.weights or "add" in each.name]
        before, outputs = outputs, layers[0](outputs)
        if len(layers) == 2:
            outputs = layers[1]([outputs, before])
    flat = keras.Model(inputs, outputs)
    with precision.scope(network, "mixed_bfloat16"):
        answers, expected = network(IMAGES), flat(IMAGES)
    np.testing.assert_array_equal(answers, expected)


def test_afterwards_a_network_converts_its_inputs_again(network):
    with pytest.raises(RuntimeError), precision.scope(network, "mixed_bfloat16"):
        raise RuntimeError
    half = tf.cast(IMAGES, tf.bfloat16)
    assert network(half).dtype == tf.float32
    for layer in network._flatten_layers():
        inner = getattr(layer, "_functional", layer)
        assert "_convert_inputs_to_tensors" not in vars(inner)
        assert layer._convert_input_args == (type(layer) is not type(network))


def test_what_is_not_half_is_converted_as_ever():
    mask = keras.Input((3,), dtype="int32", name="mask")
    more = keras.Input((3,), name="more", optional=True)
    given = keras.Input((3,), name="given")
    bits = ops.cast(ops.bitwise_and(mask, mask), "float32")
    inner = keras.Model([given, mask, more], bits + given)
    with precision.scope(inner, "mixed_bfloat16"):
        whole = np.full((2, 3), 0.5, np.float32)
        # Numbers in half precision are no masks, and float64 is no float32.
        masks = ops.cast(np.full((2, 3), 7), "bfloat16")
        answers = inner([tf.constant(whole, tf.float64), masks, None])
    np.testing.assert_array_equal(ops.cast(answers, "float32"), whole + 7)


def test_what_is_not_half_is_left_to_keras():
    inputs = keras.Input((3,))
    # Pixels of more digits than bfloat16 has: they are scaled before they are rounded.
    outputs = keras.layers.Dense(2)(ops.subtract(inputs, 1000))
    network = keras.Model(inputs, outputs)
    values = 1000 + np.random.default_rng(0).random((4, 3), np.float32)
    whole = np.array(network(values))
    with precision.scope(network, "mixed_bfloat16"):
        half = np.array(ops.cast(network(values), "float32"))
    np.testing.assert_allclose(half, whole, atol=0.02 * np.abs(whole).max())
