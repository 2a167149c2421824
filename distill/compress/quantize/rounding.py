"""Rounding in training as TFLite's int8 kernels round.

Every output of such a kernel is rounded where the file rounds it; the converter reads
the ranges from the graph. A layer without a rule in `int8_layers` computes as usual,
and its output is rounded.
"""

import keras
import tensorflow as tf
import tf_keras

layers = tf_keras.layers
RATE = 0.01  # Of a moving average; the mean of all steps in the first 1 / RATE.


class Range(layers.Layer):
    """Rounds to 256 steps of a range, a moving average over inputs in training."""

    def build(self, shape):
        """Creates both ends of the range and the number of steps so far."""
        self.shape = shape
        state = {"trainable": False, "initializer": "zeros"}
        self.low = self.add_weight("low", (), **state)
        self.high = self.add_weight("high", (), **state)
        self.steps = self.add_weight("steps", (), **state)

    def call(self, inputs, training=None):
        """The rounded inputs, in the same shape."""
        # Keras' graphs have no sizes for batches from a generator.
        inputs.set_shape((None, *self.shape[1:]))
        if training:
            self.steps.assign_add(1.0)
            rate = tf.maximum(1 / self.steps, RATE)
            # TFLite represents zero exactly, so every range contains it.
            for end, extreme in (
                (self.low, tf.minimum(tf.reduce_min(inputs), 0.0)),
                (self.high, tf.maximum(tf.reduce_max(inputs), 0.0)),
            ):
                end.assign_add(rate * (tf.stop_gradient(extreme) - end))
        return round_to_range(inputs, self.low, self.high)


def is_linear(layer: layers.Layer) -> bool:
    """Whether a layer's activation is the identity."""
    return layer.activation is tf_keras.activations.linear


def round_to_range(x, low, high, **options):
    """Rounds a tensor to 256 steps from `low` to `high`."""
    rounded = keras.quantizers.fake_quant_with_min_max_vars(x, low, high, **options)
    rounded.set_shape(x.shape)  # Keras loses the shape in a graph.
    return rounded


def round_fixed(x, activation):
    """Rounds the output of an activation that has a fixed range in TFLite."""
    ends = _FIXED_RANGES.get(activation)
    return x if ends is None else round_to_range(x, *ends)


# TFLite's kernels of these ops accept no other scale and zero point of the output.
_FIXED_RANGES = {
    "sigmoid": (0.0, 255 / 256),
    "softmax": (0.0, 255 / 256),
    "tanh": (-1.0, 127 / 128),
}


def call_layer(self, inputs, training):
    """The rule of a layer that needs none: its output alone is rounded."""
    return self.layer(inputs)
