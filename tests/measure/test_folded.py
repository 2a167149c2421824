"""A teacher with its norms folded answers as it did; what cannot be folded is left."""

import random

import keras
import numpy as np
import pytest

import students
from distill.measure import folded
from distill.teach import assistants
from students.keras_models import copying, folding

L = keras.layers
NETWORKS = {
    "resnet": students.ResNet(depth=8, width=4),
    "resnet_pre": students.ResNet(depth=8, width=4, activation_order="pre"),
}
# Norms that stand behind a sum, or in front of all kernels of their block.
KEPT = {"resnet_pre": 4}
IMAGES = np.random.default_rng(0).random((4, 8, 8, 1), np.float32)


@pytest.fixture(name="said")
def _said(monkeypatch):
    lines = []
    monkeypatch.setattr(folded.progress, "say", lines.append)
    return lines


def norms(network):
    kind = L.BatchNormalization
    return [layer for layer in network._flatten_layers() if isinstance(layer, kind)]


def shaken(network, seed=0):
    """With statistics, scales and offsets as if it were trained."""
    rng = np.random.default_rng(seed)
    for norm in norms(network):
        for variable in norm.variables:
            centred = variable.name in ("beta", "moving_mean")
            low, high = (-0.5, 0.5) if centred else (0.01, 2)
            variable.assign(rng.uniform(low, high, variable.shape))
    return network


def flat(*layers, size=(6, 6, 4), rows=2):
    """Layers one after the other, and inputs."""
    inputs = x = keras.Input(size)
    for layer in layers:
        x = layer(x)
    images = np.random.default_rng(1).random((rows, *size), np.float32)
    return shaken(keras.Model(inputs, {"logits": x})), images


def near(network, copy, inputs, share=1e-5):
    expected, actual = network(inputs, training=False), copy(inputs, training=False)
    assert list(expected) == list(actual)
    for name, values in expected.items():
        largest = np.abs(values).max()
        assert largest > 0
        assert np.abs(values - actual[name]).max() <= share * largest, name


@pytest.mark.parametrize("name", NETWORKS)
def test_every_output_is_the_same(name):
    network = shaken(NETWORKS[name].build((8, 8, 1), 5))
    before = network.get_weights()
    copy = folded.answering(network, IMAGES)
    assert copy is not network
    assert len(norms(copy)) == KEPT.get(name, 0) < len(norms(network))
    near(network, copy, IMAGES)
    for one, other in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("layer", "options"),
    [
        (L.Conv2D(3, 3, use_bias=False), {}),
        (L.Conv2D(6, 3, groups=2, padding="same", strides=2), {"scale": False}),
        (L.Conv2DTranspose(3, 2, 2, bias_initializer="ones"), {"center": False}),
        (L.DepthwiseConv2D(3, depth_multiplier=2), {"epsilon": 0.1}),
        (L.Conv1D(3, 2), {}),
        (L.Dense(3, bias_initializer="ones"), {"axis": 3}),
    ],
)
def test_every_kernel_absorbs_its_norm(layer, options):
    size = (6, 4) if isinstance(layer, L.Conv1D) else (6, 6, 4)
    network, images = flat(layer, L.BatchNormalization(**options), size=size)
    copy = folding.fold(network, folding.foldable(network))
    assert not norms(copy)
    near(network, copy, images)


class Doubled(L.BatchNormalization):
    def call(self, inputs, **options):
        return 2 * super().call(inputs, **options)


def _two_readers():
    inputs = keras.Input((6, 6, 4))
    x = L.Conv2D(4, 1)(inputs)
    y = L.BatchNormalization()(x)
    return keras.Model(inputs, {"logits": L.Add()([x, y])})


def _an_output():
    inputs = keras.Input((6, 6, 4))
    x = L.Conv2D(4, 1)(inputs)
    return keras.Model(inputs, {"stem": x, "logits": L.BatchNormalization()(x)})


def _called_twice():
    inputs, conv = keras.Input((6, 6, 4)), L.Conv2D(4, 1)
    return keras.Model(inputs, {"logits": L.BatchNormalization()(conv(conv(inputs)))})


def _norm_called_twice():
    inputs, norm = keras.Input((6, 6, 4)), L.BatchNormalization()
    x = norm(L.Conv2D(4, 1)(inputs))
    return keras.Model(inputs, {"logits": norm(L.Conv2D(4, 1)(x))})


def _shared_with_a_model():
    inputs, conv = keras.Input((6, 6, 4)), L.Conv2D(4, 1)
    given = keras.Input((6, 6, 4))
    part = keras.Model(given, L.BatchNormalization()(conv(given)))
    return keras.Model(inputs, {"logits": part(L.ReLU()(conv(inputs)))})


@pytest.mark.parametrize(
    "network",
    [
        _two_readers,
        _an_output,
        _called_twice,
        _norm_called_twice,
        _shared_with_a_model,
        lambda: flat(L.Conv2D(4, 1, activation="relu"), L.BatchNormalization())[0],
        lambda: flat(L.Conv2D(4, 1), L.BatchNormalization(axis=1))[0],
        lambda: flat(L.Conv2D(4, 1), Doubled())[0],
        lambda: flat(L.SeparableConv2D(4, 3), L.BatchNormalization())[0],
    ],
)
def test_what_would_not_be_the_same_is_left(network):
    network = network()
    assert not folding.foldable(network)
    assert folded.answering(network, np.ones((1, 6, 6, 4), "float32")) is network


class Odd(L.Layer):
    def __init__(self, size):
        super().__init__()

    def call(self, x):
        return x


def test_a_network_that_cannot_be_copied_is_left_and_said(said):
    network, images = flat(L.Conv2D(4, 1), L.BatchNormalization(), Odd(object()))
    assert folded.answering(network, images) is network
    (line,) = said
    assert f"{network.name}: norms are not folded into kernels: no copy" in line


def _forgets_epsilon(layer, norm):
    kernel, bias = layer.get_weights()
    scale = norm.gamma.numpy() / np.sqrt(norm.moving_variance.numpy())
    offset = norm.beta.numpy() - norm.moving_mean.numpy() * scale
    return [kernel * scale, bias * scale + offset]


def _no_norm(layer, norm):
    return layer.get_weights()


def _no_number(layer, norm):
    return [np.nan * weight for weight in layer.get_weights()]


@pytest.mark.parametrize("absorb", [_forgets_epsilon, _no_norm, _no_number])
def test_a_wrong_copy_does_not_answer(absorb, monkeypatch, said):
    conv = L.Conv2D(4, 1, bias_initializer="ones")
    network, images = flat(conv, L.BatchNormalization())
    assert folded.answering(network, images) is not network
    assert not said
    monkeypatch.setattr(folding, "absorb", absorb)
    assert folded.answering(network, images) is network
    (line,) = said
    assert "norms are not folded into kernels: its answers would differ by" in line


def test_two_readers_would_be_found_out(monkeypatch):
    network = shaken(_two_readers())
    conv, norm = network.layers[1:3]
    monkeypatch.setattr(folding, "foldable", lambda network: {conv: norm})
    assert folded.answering(network, np.ones((2, 6, 6, 4), "float32")) is network


def test_folding_draws_nothing():
    network, _ = flat(L.Dropout(0.5), L.Conv2D(4, 1), L.BatchNormalization())
    states = random.getstate(), np.random.get_state()[1].tolist()
    draws = keras.initializers.HeNormal().get_config()
    random.setstate(states[0])
    assert not norms(folding.fold(network, folding.foldable(network)))
    assert states == (random.getstate(), np.random.get_state()[1].tolist())
    assert keras.initializers.HeNormal().get_config() == draws


def test_several_teachers_are_folded_together():
    both = [shaken(NETWORKS["resnet"].build((8, 8, 1), 5), seed) for seed in (0, 1)]
    together = assistants.average(both[0], both[1:], [0.3])
    copy = folded.answering(together, IMAGES)
    assert not norms(copy)
    near(together, copy, IMAGES)


def test_a_copy_normalizes_as_the_original():
    """Also where a layer computes with more than its weights."""
    layer = L.Normalization()
    layer.adapt(np.random.default_rng(0).normal(3, 7, (50, 4)))
    network, images = flat(layer, L.Conv2D(4, 1), L.BatchNormalization())
    near(network, folding.fold(network, folding.foldable(network)), images)
    copy = keras.models.clone_model(network)
    copying.copy_weights(network, copy)
    near(network, copy, images, share=0)


def test_a_copy_shares_no_memory(monkeypatch):
    """On JAX, training deletes the arrays that another variable may share."""
    given = []
    monkeypatch.setattr(
        L.Dense, "load_own_variables", lambda self, store: given.extend(store.values())
    )
    layers = [L.Dense(3) for _ in range(2)]
    for layer in layers:
        layer.build((None, 2))
    copying.copy_weights(*layers)
    assert [type(values) for values in given] == [np.ndarray] * 2
