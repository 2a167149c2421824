"""Layers that round in training as the integer kernels of TFLite do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from distill.compress.quantize import products, rounding


class Quantized(rounding.layers.Wrapper):
    """A layer that computes as TFLite does in eight bits.

    Args:
        layer: The layer, with the options of the twin's.
        rounds: Whether its output is rounded; False if the next layer becomes part of
            the same op.
        normed: Whether this is a kernel with a norm behind it, or that norm.
        change_gradient: A function from the gradient of the kernel to the one that is
            applied; None for no change.
        levels: What rounds the kernel before its eight bits do; see
            `simulation.simulate`.
        **options: Options of every layer.
    """

    def __init__(
        self, layer, *, rounds, normed, change_gradient, levels=None, **options
    ):
        super().__init__(layer, **options)
        self.levels = levels
        self.rounds, self.normed = rounds, normed
        self._change_gradient = change_gradient
        self._ranges: dict[str, rounding.Range] = {}

    def call(self, inputs, training=None):
        """The layer's outputs, computed and rounded by its rule."""
        rule = _RULES.get(type(self.layer), rounding.call_layer)
        outputs = rule(self, inputs, training)
        return self.round(outputs, "output") if self.rounds else outputs

    def round(self, x: Any, name: str) -> Any:
        """Rounds a tensor to this layer's range of that name, created at first use."""
        if name not in self._ranges:
            self._ranges[name] = rounding.Range(name=name)
        return self._ranges[name](x)

    def activate(self, x: Any, activation: Callable) -> Any:
        """Applies an activation to a rounded tensor."""
        name = activation.__name__
        if name == "swish":
            # TFLite has no such op: the file has a LOGISTIC and a MUL.
            return x * rounding.round_fixed(tf.sigmoid(x), "sigmoid")
        return rounding.round_fixed(activation(x), name)

    def round_kernel(self, weights: Any, *, per_channel: bool = True) -> Any:
        """Rounds a kernel `(..., out)` symmetrically, by channel or as a whole."""
        if self._change_gradient is not None:
            change = self._change_gradient
            weights = tf.custom_gradient(lambda x: (tf.identity(x), change))(weights)
        weights = tf.convert_to_tensor(weights)
        axes = list(range(len(weights.shape) - 1)) if per_channel else None
        limit = tf.stop_gradient(tf.reduce_max(tf.abs(weights), axes))
        if self.levels is not None:
            # The step of eight bits is the levels' own, so that codes are multiples.
            weights = self.levels(weights)
            limit = tf.ones_like(limit) * (127 * tf.stop_gradient(self.levels.width))
        limit = tf.where(limit > 0, limit, 1.0)  # A channel may be zero throughout.
        # The narrow range, -127 to 127: TFLite's kernels have no zero point of weights.
        return rounding.round_to_range(
            weights, -limit, limit, narrow_range=True, axis=-1 if per_channel else None
        )


def _with_kernel(product):
    """The rule of a layer with a kernel: product, bias, activation."""

    def rule(self, x, training):
        layer = self.layer
        x = product(self, x, training)
        x = x + layer.bias if layer.use_bias else x
        # A rectifier is part of the kernel's op, any other activation its own op.
        if not rounding.is_linear(layer) and layer.activation.__name__ != "relu":
            x = self.round(x, "product")
        return self.activate(x, layer.activation)

    return rule


def _activation(self, x, training):
    return self.activate(x, self.layer.activation)


def _softmax(self, x, training):
    return rounding.round_fixed(self.layer(x), "softmax")


def _affine(self, x, scale, offset):
    """Product and sum: two ops, each of which rounds, unless one has no effect."""
    if np.any(scale != 1.0):
        x = x * scale
        x = self.round(x, "scaled") if np.any(offset != 0.0) else x
    return x + offset if np.any(offset != 0.0) else x


def _rescale(self, x, training):
    scale, offset = (np.asarray(self.layer.scale), np.asarray(self.layer.offset))
    return _affine(self, x, scale.astype("float32"), offset.astype("float32"))


def _standardize(self, x, training):
    """A `Normalization`, whose mean and variance are constants here."""
    deviation = np.maximum(np.sqrt(self.layer.variance), 1e-7)
    scale = (1 / deviation).astype("float32")
    return _affine(self, x, scale, -np.asarray(self.layer.mean) * scale)


def _batch_norm(self, x, training):
    """A norm without a kernel: scale and offset train, statistics stay."""
    norm = self.layer
    if self.normed:
        # The converter folds this norm into the kernel before it: no rounding between.
        return norm(x)
    scale = tf.math.rsqrt(norm.moving_variance + norm.epsilon)
    scale = scale * norm.gamma if norm.scale else scale
    offset = (norm.beta if norm.center else 0.0) - norm.moving_mean * scale
    scale, offset = (_along(norm.axis, one, x) for one in (scale, offset))
    return self.round(x * scale, "scaled") + offset


def _along(axes, values, x):
    """Values of some axes of a tensor, reshaped to broadcast against the tensor."""
    rank = len(x.shape)
    if list(axes) == list(range(rank - len(axes), rank)):
        return values
    sizes = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
    return tf.reshape(values, sizes)


def _layer_norm(self, x, training):
    """A `LayerNormalization`; each of its steps is an op of TFLite that rounds."""
    norm, axes = self.layer, list(self.layer.axis)

    def mean(values, name):
        return self.round(tf.reduce_mean(values, axes, keepdims=True), name)

    x = self.round(x - mean(x, "mean"), "centered")
    variance = mean(self.round(x * x, "squares"), "variance")
    variance = self.round(variance + norm.epsilon, "shifted")
    if training:
        # A variance that rounds to zero would become infinite here. In TFLite, and in
        # evaluation, the inverse of zero is the largest value of its range.
        variance = tf.maximum(variance, self._ranges["shifted"].high / 255)
    x = x * self.round(tf.math.rsqrt(variance), "inverse")
    if norm.scale:
        x = self.round(x, "normal") * _along(axes, norm.gamma, x)
    if norm.center:
        x = self.round(x, "scaled") + _along(axes, norm.beta, x)
    return x


def _add(self, inputs, training):
    """A sum; more than two inputs are added one by one, each in its own op."""
    total, *others = inputs
    for number, other in enumerate(others):
        total = self.round(total, f"sum{number}") if number else total
        total = total + other
    return total


_RULES: dict[type, Callable] = {
    rounding.layers.Activation: _activation,
    rounding.layers.Add: _add,
    rounding.layers.BatchNormalization: _batch_norm,
    rounding.layers.Conv1D: _with_kernel(products.conv_1d),
    rounding.layers.Conv1DTranspose: _with_kernel(products.conv_transpose_1d),
    rounding.layers.Conv2D: _with_kernel(products.conv),
    rounding.layers.Conv2DTranspose: _with_kernel(products.conv_transpose),
    rounding.layers.Dense: _with_kernel(products.dense),
    rounding.layers.DepthwiseConv1D: _with_kernel(products.depthwise_1d),
    rounding.layers.DepthwiseConv2D: _with_kernel(products.depthwise),
    rounding.layers.LayerNormalization: _layer_norm,
    rounding.layers.Normalization: _standardize,
    rounding.layers.Rescaling: _rescale,
    rounding.layers.Softmax: _softmax,
}
