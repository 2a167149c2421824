"""Layers that round as the integer kernels of TFLite do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from distill.compress.quantize import rounding
from distill.runtime import strided


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


def _convolved(self, x, training):
    layer = self.layer
    x, strides = _strides(layer, x, training)
    kernel = self.kernel(layer.kernel)
    return _convolution(layer, x, kernel, strides, layer.dilation_rate)


def _convolved_1d(self, x, training):
    """As an image of one row: a scale for each channel wants four axes."""
    layer = self.layer
    if layer.padding == "causal":
        before = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
        x = tf.pad(x, [[0, 0], [before, 0], [0, 0]])
    x, strides = _strides(layer, x, training)
    kernel, strides = self.kernel(layer.kernel[None]), (1, *strides)
    made = _convolution(layer, x[:, None], kernel, strides, (1, *layer.dilation_rate))
    length = made.shape[2] or tf.shape(made)[2]  # Texts train without a fixed length.
    return tf.reshape(made, (-1, length, made.shape[3]))


def _strides(layer, x, training):
    """Inputs and strides; the file has the layer's own, whose gradient nobody asks."""
    if not training:
        return x, layer.strides
    return strided.without(x, layer.kernel_size, layer.strides)


def _convolution(layer, x, kernel, strides, dilations):
    # As in tf_keras: on a CPU TensorFlow has no other gradient of groups.
    compiled = tf.function(tf.nn.convolution, jit_compile=True)
    return (tf.nn.convolution if layer.groups == 1 else compiled)(
        x,
        kernel,
        strides,
        "SAME" if layer.padding == "same" else "VALID",
        dilations=dilations,
    )


def _depthwise(self, x, training):
    layer, shape = self.layer, self.layer.depthwise_kernel.shape
    x, strides = _strides(layer, x, training)
    kernel = tf.reshape(layer.depthwise_kernel, (*shape[:2], shape[2] * shape[3]))
    return tf_keras.backend.depthwise_conv2d(
        x,
        tf.reshape(self.kernel(kernel), shape),
        strides,
        layer.padding,
        dilation_rate=layer.dilation_rate,
    )


def _multiplied(self, x, training):
    """A convolution where a norm follows: the converter folds it into no other op."""
    shape, kernel = x.shape[1:-1], self.layer.kernel
    if self.normed:
        made = tf.nn.conv2d(
            tf.reshape(x, (-1, 1, max(1, int(np.prod(shape))), x.shape[-1])),
            self.kernel(kernel[None, None]),
            1,
            "VALID",
        )
    else:
        made = tf.matmul(
            tf.reshape(x, (-1, x.shape[-1])), self.kernel(kernel, per_channel=False)
        )
    return tf.reshape(made, (-1, *shape, kernel.shape[-1]))


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
    return self.rounded(x * scale, "scaled") + offset


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
        x = self.rounded(x, "normal") * norm.gamma
    return self.rounded(x, "scaled") + norm.beta if norm.center else x


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
    rounding.layers.Conv1D: _with_kernel(_convolved_1d),
    rounding.layers.Conv2D: _with_kernel(_convolved),
    rounding.layers.Dense: _with_kernel(_multiplied),
    rounding.layers.DepthwiseConv2D: _with_kernel(_depthwise),
    rounding.layers.LayerNormalization: _layer_normed,
    rounding.layers.Normalization: _standardized,
    rounding.layers.Rescaling: _rescaled,
    rounding.layers.Softmax: _softmax,
}
