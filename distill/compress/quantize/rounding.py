"""Layers that compute while they train as TFLite's int8 kernels will.

Whatever such a kernel writes is rounded here where the file rounds it; the converter
takes the ranges from the graph. What a layer does not say here it computes as ever,
with its output rounded.
"""

import keras
import tensorflow as tf
import tf_keras

layers = tf_keras.layers
RATE = 0.01  # Of a moving range; before that many steps it is their plain mean.


class Range(layers.Layer):
    """Rounds to 256 steps of a range that follows what it is given in training."""

    def build(self, shape):
        """Makes the state: both ends, zero between them, and the steps so far."""
        self.shape = shape
        state = {"trainable": False, "initializer": "zeros"}
        self.low = self.add_weight("low", (), **state)
        self.high = self.add_weight("high", (), **state)
        self.steps = self.add_weight("steps", (), **state)

    def call(self, inputs, training=None):
        """The same shape, rounded."""
        # What a generator feeds has no sizes in Keras' graphs.
        inputs.set_shape((None, *self.shape[1:]))
        if training:
            self.steps.assign_add(1.0)
            rate = tf.maximum(1 / self.steps, RATE)
            for end, reached in (
                (self.low, tf.minimum(tf.reduce_min(inputs), 0.0)),
                (self.high, tf.maximum(tf.reduce_max(inputs), 0.0)),
            ):
                end.assign_add(rate * (tf.stop_gradient(reached) - end))
        return _rounded(inputs, self.low, self.high)


def is_linear(layer: layers.Layer) -> bool:
    """Whether a layer has an activation that changes nothing."""
    return layer.activation is tf_keras.activations.linear


def _rounded(x, low, high, **options):
    made = keras.quantizers.fake_quant_with_min_max_vars(x, low, high, **options)
    made.set_shape(x.shape)  # Which Keras forgets in a graph.
    return made


def _fixed(x, activation):
    """Rounds what has a range of its own in TFLite, whatever it is given."""
    ends = _FIXED.get(activation)
    return x if ends is None else _rounded(x, *ends)


_FIXED = {
    "sigmoid": (0.0, 255 / 256),
    "softmax": (0.0, 255 / 256),
    "tanh": (-1.0, 127 / 128),
}


def _plain(self, inputs, training):
    return self.layer(inputs)
