"""The fused norm computes what Keras' own does, and leaves nothing behind."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from distill.teach.hardware import fused, precision
from students.resnet import ResNet

IMAGES = np.random.default_rng(0).random((12, 8, 8, 1), np.float32)


@pytest.fixture(name="network")
def _network():
    keras.utils.set_random_seed(0)
    network = ResNet(depth=8, width=4).build((8, 8, 1), 3)
    rng = np.random.default_rng(1)
    network.set_weights(
        [0.5 + rng.random(value.shape) for value in network.get_weights()]
    )
    return network


def _pass(network, training):
    """Outputs, gradients and weights after one pass from the same start."""
    before = network.get_weights()
    with tf.GradientTape() as tape:
        outputs = network(IMAGES, training=training)
        loss = tf.reduce_mean(tf.math.log_softmax(outputs["logits"])[:, 0])
    gradients = tape.gradient(loss, network.trainable_variables)
    after = network.get_weights()
    network.set_weights(before)
    return [*outputs.values(), *gradients, *after]


@pytest.mark.parametrize("training", [False, True])
def test_computes_what_keras_computes(network, training):
    plain = _pass(network, training)
    with fused.for_training(network):
        fast = _pass(network, training)
    moved = any(
        np.abs(before - after).max() > 0.1
        for before, after in zip(
            network.get_weights(), fast[-len(network.weights) :], strict=True
        )
    )
    assert moved == training
    _near(plain, fast, 2e-5)


def _near(ones, others, share):
    for one, other in zip(ones, others, strict=True):
        one, other = (np.array(each, np.float32) for each in (one, other))
        np.testing.assert_allclose(other, one, atol=share * max(1, np.abs(one).max()))


def test_in_half_precision_it_is_the_kernel_too(network, monkeypatch):
    kernel, called = tf.compat.v1.nn.fused_batch_norm, []

    def counted(inputs, *arguments, **options):
        called.append(inputs.dtype)
        return kernel(inputs, *arguments, **options)

    monkeypatch.setattr(tf.compat.v1.nn, "fused_batch_norm", counted)
    with precision.scope(network, "mixed_bfloat16"):
        plain = _pass(network, training=True)
        assert not called
        with fused.for_training(network):
            fast = _pass(network, training=True)
    assert set(called) == {tf.bfloat16} == {value.dtype for value in fast[:4]}
    _near(plain, fast, 1e-2)  # One last place of what is half.


def test_statistics_may_be_half_where_a_network_is():
    norm = keras.layers.BatchNormalization(dtype="bfloat16", momentum=0.5)
    model = keras.Sequential([keras.Input((8, 8, 1)), norm])
    with fused.for_training(model):
        model(IMAGES, training=True)
    moved = np.array(norm.moving_mean, np.float32)
    np.testing.assert_allclose(moved, IMAGES.mean() / 2, rtol=1e-2)


def test_a_frozen_norm_stays_where_it_is(network):
    network.trainable = False
    with fused.for_training(network):
        after = _pass(network, training=True)[-len(network.weights) :]
    for one, other in zip(network.get_weights(), after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_gives_the_norms_back_also_after_an_error(network):
    norms = [layer for layer in network._flatten_layers() if "norm" in layer.name]
    with pytest.raises(RuntimeError), fused.for_training(network):
        assert norms
        assert {type(norm) for norm in norms} != {keras.layers.BatchNormalization}
        raise RuntimeError
    assert {type(norm) for norm in norms} == {keras.layers.BatchNormalization}


@pytest.mark.parametrize(
    "options", [{"axis": 1}, {"scale": False}, {"center": False}, {"renorm": True}]
)
def test_leaves_alone_what_the_kernel_cannot_do(options):
    norm = keras.layers.BatchNormalization(**options)
    model = keras.Sequential([keras.Input((4, 4, 3)), norm])
    with fused.for_training(model):
        assert type(norm) is keras.layers.BatchNormalization
