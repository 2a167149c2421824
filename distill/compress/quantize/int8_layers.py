"""Layers that round as the integer kernels of TFLite do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from distill.compress.quantize import products, rounding


class Quantized(rounding.layers.Wrapper):
    """A layer as TFLite computes it in eight bits.

    Args:
        layer: Built from the twin's options.
        rounds: Whether its output is rounded; not so where the next layer becomes
            part of the same op.
        normed: Whether this is a kernel with a norm behind it, or that norm.
        held: What the gradient of the kernel becomes; None leaves it alone.
        **options: Of every layer.
    """

    def __init__(self, layer, *, rounds, normed, held, **options):
        super().__init__(layer, **options)
        self.rounds, self.normed, self._held = rounds, normed, held
        self._ranges: dict[str, rounding.Range] = {}

    def call(self, inputs, training=None):
        """As the layer itself, rounded."""
        rule = _RULES.get(type(self.layer), rounding._plain)
        made = rule(self, inputs, training)
        return self.rounded(made, "output") if self.rounds else made

    def rounded(self, x: Any, name: str) -> Any:
        """A tensor of this layer's, rounded to a range of that name."""
        if name not in self._ranges:
            self._ranges[name] = rounding.Range(name=name)
        return self._ranges[name](x)

    def activated(self, x: Any, activation: Callable) -> Any:
        """What an activation makes of a tensor that has been rounded."""
        name = activation.__name__
        if name == "swish":
            return x * rounding._fixed(tf.sigmoid(x), "sigmoid")
        return rounding._fixed(activation(x), name)

    def kernel(self, weights: Any, *, per_channel: bool = True) -> Any:
        """A kernel `(..., out)`, rounded symmetrically."""
        if self._held is not None:
            weights = tf.custom_gradient(lambda x: (tf.identity(x), self._held))(
                weights
            )
        weights = tf.convert_to_tensor(weights)
        axes = list(range(len(weights.shape) - 1)) if per_channel else None
        most = tf.stop_gradient(tf.reduce_max(tf.abs(weights), axes))
        most = tf.where(most > 0, most, 1.0)
        return rounding._rounded(
            weights, -most, most, narrow_range=True, axis=-1 if per_channel else None
        )


def _with_kernel(product):
    """The rule of a layer with a kernel: product, bias, activation."""

    def rule(self, x, training):
        layer = self.layer
        x = product(self, x, training)
        x = x + layer.bias if layer.use_bias else x
        if not rounding.is_linear(layer) and layer.activation.__name__ != "relu":
            x = self.rounded(x, "product")
        return self.activated(x, layer.activation)

    return rule


def _activation(self, x, training):
    return self.activated(x, self.layer.activation)


def _softmax(self, x, training):
    return rounding._fixed(self.layer(x), "softmax")


def _affine(self, x, scale, offset):
    """A product and a sum are two ops, each of which rounds; a trivial one is none."""
    if np.any(scale != 1.0):
        x = x * scale
        x = self.rounded(x, "scaled") if np.any(offset != 0.0) else x
    return x + offset if np.any(offset != 0.0) else x


def _rescaled(self, x, training):
    scale, offset = (np.asarray(self.layer.scale), np.asarray(self.layer.offset))
    return _affine(self, x, scale.astype("float32"), offset.astype("float32"))


def _standardized(self, x, training):
    """A `Normalization`: what it has learned is no longer learned."""
    deviation = np.maximum(np.sqrt(self.layer.variance), 1e-7)
    scale = (1 / deviation).astype("float32")
    return _affine(self, x, scale, -np.asarray(self.layer.mean) * scale)


def _normed(self, x, training):
    """A norm without a kernel: scale and offset train on, statistics stay."""
    norm = self.layer
    if self.normed:
        return norm(x)
    scale = tf.math.rsqrt(norm.moving_variance + norm.epsilon)
    scale = scale * norm.gamma if norm.scale else scale
    offset = (norm.beta if norm.center else 0.0) - norm.moving_mean * scale
    scale, offset = (_along(norm.axis, one, x) for one in (scale, offset))
    return self.rounded(x * scale, "scaled") + offset


def _along(axes, values, x):
    """What belongs to these axes of a tensor, so that it broadcasts against it."""
    rank = len(x.shape)
    if list(axes) == list(range(rank - len(axes), rank)):
        return values
    sizes = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
    return tf.reshape(values, sizes)


def _layer_normed(self, x, training):
    norm, axes = self.layer, list(self.layer.axis)

    def mean(of, name):
        return self.rounded(tf.reduce_mean(of, axes, keepdims=True), name)

    x = self.rounded(x - mean(x, "mean"), "centered")
    variance = mean(self.rounded(x * x, "squares"), "variance")
    variance = self.rounded(variance + norm.epsilon, "shifted")
    if training:
        # Zero is the largest of the range: so it is in TFLite, and in evaluation.
        variance = tf.maximum(variance, self._ranges["shifted"].high / 255)
    x = x * self.rounded(tf.math.rsqrt(variance), "inverse")
    if norm.scale:
        x = self.rounded(x, "normal") * _along(axes, norm.gamma, x)
    if norm.center:
        x = self.rounded(x, "scaled") + _along(axes, norm.beta, x)
    return x


def _added(self, inputs, training):
    """More than two are added in turn, each sum an op."""
    total, *others = inputs
    for number, other in enumerate(others):
        total = self.rounded(total, f"sum{number}") if number else total
        total = total + other
    return total


_RULES: dict[type, Callable] = {
    rounding.layers.Activation: _activation,
    rounding.layers.Add: _added,
    rounding.layers.BatchNormalization: _normed,
    rounding.layers.Conv1D: _with_kernel(products.convolved_1d),
    rounding.layers.Conv1DTranspose: _with_kernel(products.transposed_1d),
    rounding.layers.Conv2D: _with_kernel(products.convolved),
    rounding.layers.Conv2DTranspose: _with_kernel(products.transposed),
    rounding.layers.Dense: _with_kernel(products.multiplied),
    rounding.layers.DepthwiseConv1D: _with_kernel(products.depthwise_1d),
    rounding.layers.DepthwiseConv2D: _with_kernel(products.depthwise),
    rounding.layers.LayerNormalization: _layer_normed,
    rounding.layers.Normalization: _standardized,
    rounding.layers.Rescaling: _rescaled,
    rounding.layers.Softmax: _softmax,
}
