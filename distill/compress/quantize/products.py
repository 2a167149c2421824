"""What a kernel makes of its input, before its bias, as TFLite computes it.

Each function is told a `Quantized` layer, whose `kernel` rounds, a tensor, and
whether this is training.
"""

import numpy as np
import tensorflow as tf
import tf_keras

from distill.runtime import strided


def convolved(self, x, training):
    """A convolution, with a scale for each output channel."""
    layer = self.layer
    x, strides = _strides(layer, x, training)
    kernel = self.kernel(layer.kernel)
    return _convolution(layer, x, kernel, strides, layer.dilation_rate)


def convolved_1d(self, x, training):
    """As an image of one row: a scale for each channel wants four axes."""
    layer = self.layer
    if layer.padding == "causal":
        before = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
        x = tf.pad(x, [[0, 0], [before, 0], [0, 0]])
    x, strides = _strides(layer, x, training)
    kernel, strides = self.kernel(layer.kernel[None]), (1, *strides)
    made = _convolution(layer, x[:, None], kernel, strides, (1, *layer.dilation_rate))
    return _without_row(made)


def _without_row(x):
    """An image of one row, without the row; texts train without a fixed length."""
    length = x.shape[2] or tf.shape(x)[2]
    return tf.reshape(x, (-1, length, x.shape[3]))


def _strides(layer, x, training):
    """Inputs and strides; the file has the layer's own, whose gradient nobody asks."""
    if not training:
        return x, layer.strides
    return strided.without(x, layer.kernel_size, layer.strides)


def _transposed_strides(layer, x, training):
    """Likewise, of a transposed convolution."""
    if not training:
        return x, layer.strides
    return strided.without_transposed(
        x, layer.kernel_size, layer.strides, layer.output_padding
    )


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


def transposed(self, x, training):
    """One scale for the whole kernel, whose channels are not last."""
    layer = self.layer
    shape = layer.compute_output_shape(x.shape)[1:]
    x, strides = _transposed_strides(layer, x, training)
    return tf_keras.backend.conv2d_transpose(
        x,
        self.kernel(layer.kernel, per_channel=False),
        (tf.shape(x)[0], *shape),
        strides,
        layer.padding,
        dilation_rate=layer.dilation_rate,
    )


def transposed_1d(self, x, training):
    """As an image of one row."""
    layer = self.layer
    shape = layer.compute_output_shape(x.shape)[1:]
    x, strides = _transposed_strides(layer, x, training)
    made = tf.nn.conv2d_transpose(
        x[:, None],
        self.kernel(layer.kernel[None], per_channel=False),
        (tf.shape(x)[0], 1, *shape),
        (1, *strides),
        layer.padding.upper(),
    )
    return _without_row(made)


def depthwise_1d(self, x, training):
    """As an image of one row; the converter takes no scale for each channel here."""
    layer = self.layer
    if layer.padding == "causal":
        before = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
        x = tf.pad(x, [[0, 0], [before, 0], [0, 0]])
    x, strides = _strides(layer, x, training)
    made = tf.nn.depthwise_conv2d(
        x[:, None],
        self.kernel(layer.depthwise_kernel[None], per_channel=False),
        (1, strides[0], strides[0], 1),
        "SAME" if layer.padding == "same" else "VALID",
        dilations=(1, *layer.dilation_rate),
    )
    return _without_row(made)


def depthwise(self, x, training):
    """A kernel for each channel, with a scale for each."""
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


def multiplied(self, x, training):
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
