"""Products of inputs and rounded kernels, without bias, as TFLite computes them.

Each function takes a `Quantized` layer, whose `round_kernel` rounds, its input, and
whether this is a training step.
"""

import numpy as np
import tensorflow as tf
import tf_keras

from distill.runtime import strided


def conv(self, x, training):
    """A convolution, with a scale for each output channel."""
    layer = self.layer
    x, strides = _strides(layer, x, training)
    kernel = self.round_kernel(layer.kernel)
    return _convolution(layer, x, kernel, strides, layer.dilation_rate)


def conv_1d(self, x, training):
    """As an image of one row: scales for each channel need a kernel of four axes."""
    layer = self.layer
    if layer.padding == "causal":
        before = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
        x = tf.pad(x, [[0, 0], [before, 0], [0, 0]])
    x, strides = _strides(layer, x, training)
    kernel, strides = self.round_kernel(layer.kernel[None]), (1, *strides)
    products = _convolution(
        layer, x[:, None], kernel, strides, (1, *layer.dilation_rate)
    )
    return _without_row(products)


def _without_row(x):
    """Removes the axis of an image's only row."""
    length = x.shape[2] or tf.shape(x)[2]  # Texts have no fixed length in training.
    return tf.reshape(x, (-1, length, x.shape[3]))


def _strides(layer, x, training):
    """Inputs and strides, in training without strides of kernels of one pixel.

    oneDNN's gradient of these corrupts memory; see `runtime.strided`. The file, which
    has no gradient, keeps the layer's own.
    """
    if not training:
        return x, layer.strides
    return strided.without(x, layer.kernel_size, layer.strides)


def _transposed_strides(layer, x, training):
    """The same for a transposed convolution."""
    if not training:
        return x, layer.strides
    return strided.without_transposed(
        x, layer.kernel_size, layer.strides, layer.output_padding
    )


def _convolution(layer, x, kernel, strides, dilations):
    # As in tf_keras: without XLA, TensorFlow has no gradient of groups on a CPU.
    compiled = tf.function(tf.nn.convolution, jit_compile=True)
    return (tf.nn.convolution if layer.groups == 1 else compiled)(
        x,
        kernel,
        strides,
        "SAME" if layer.padding == "same" else "VALID",
        dilations=dilations,
    )


def conv_transpose(self, x, training):
    """A transposed convolution, with one scale: output channels are not last."""
    layer = self.layer
    shape = layer.compute_output_shape(x.shape)[1:]
    x, strides = _transposed_strides(layer, x, training)
    # The shape of the output is an argument: a stride leaves several possible.
    return tf_keras.backend.conv2d_transpose(
        x,
        self.round_kernel(layer.kernel, per_channel=False),
        (tf.shape(x)[0], *shape),
        strides,
        layer.padding,
        dilation_rate=layer.dilation_rate,
    )


def conv_transpose_1d(self, x, training):
    """As an image of one row; one scale for the whole kernel."""
    layer = self.layer
    shape = layer.compute_output_shape(x.shape)[1:]
    x, strides = _transposed_strides(layer, x, training)
    products = tf.nn.conv2d_transpose(
        x[:, None],
        self.round_kernel(layer.kernel[None], per_channel=False),
        (tf.shape(x)[0], 1, *shape),
        (1, *strides),
        layer.padding.upper(),
    )
    return _without_row(products)


def depthwise_1d(self, x, training):
    """As an image of one row; the converter accepts only one scale here."""
    layer = self.layer
    if layer.padding == "causal":
        before = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
        x = tf.pad(x, [[0, 0], [before, 0], [0, 0]])
    x, strides = _strides(layer, x, training)
    # TensorFlow requires equal strides of both axes; the other axis has one row.
    products = tf.nn.depthwise_conv2d(
        x[:, None],
        self.round_kernel(layer.depthwise_kernel[None], per_channel=False),
        (1, strides[0], strides[0], 1),
        "SAME" if layer.padding == "same" else "VALID",
        dilations=(1, *layer.dilation_rate),
    )
    return _without_row(products)


def depthwise(self, x, training):
    """A depthwise convolution, with a scale for each output channel."""
    layer, shape = self.layer, self.layer.depthwise_kernel.shape
    x, strides = _strides(layer, x, training)
    kernel = tf.reshape(layer.depthwise_kernel, (*shape[:2], shape[2] * shape[3]))
    return tf_keras.backend.depthwise_conv2d(
        x,
        tf.reshape(self.round_kernel(kernel), shape),
        strides,
        layer.padding,
        dilation_rate=layer.dilation_rate,
    )


def dense(self, x, training):
    """A matrix product; a convolution of one pixel if a norm follows.

    The converter folds a norm into a convolution, but not into a matrix product.
    """
    shape, kernel = x.shape[1:-1], self.layer.kernel
    if self.normed:
        products = tf.nn.conv2d(
            tf.reshape(x, (-1, 1, max(1, int(np.prod(shape))), x.shape[-1])),
            self.round_kernel(kernel[None, None]),
            1,
            "VALID",
        )
    else:
        products = tf.matmul(
            tf.reshape(x, (-1, x.shape[-1])),
            self.round_kernel(kernel, per_channel=False),
        )
    return tf.reshape(products, (-1, *shape, kernel.shape[-1]))
