"""Kernels of few levels: nested means cut the weights, and each level is trained.

Source:
    Schindler et al., "N-Ary Quantization for CNN Model Compression and Inference
    Acceleration", 2018. What differs: a level is a multiple of 1/127 of the largest, so
    that a file of eight bits contains it exactly.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_keras

from distill.compress.finishers import nary
from distill.compress.quantize import levels

LARGEST = 127  # The code of the largest level.


def train(
    model: tf_keras.Model, part: nary.Nary, fit: Callable[..., None]
) -> tuple[tf_keras.Model, list[np.ndarray]]:
    """Trains a tf_keras model whose kernels have few levels.

    Args:
        model: A twin of the student.
        part: The finisher with the options.
        fit: Trains the model with the given `optimizer`.

    Returns:
        The trained model, whose kernels have the levels; and the codes of each kernel
        on levels, int8, output channels first.
    """
    names = [layer.name for layer in model.layers if isinstance(layer, levels.KINDS)]
    chosen = names[1:-1] if part.ends == "int8" else names

    def choose(layer):
        if layer.name not in chosen:
            return None
        return NestedMeans(layer.kernel, part.levels, name="levels")

    model = levels.wrap(model, choose)
    fit(model, optimizer="adam")
    codes = [
        levels.channels_first(kernel, kernel.levels.find_codes(kernel.variable))
        for kernel in levels.find(model)
    ]
    return levels.unwrap(model), codes


class NestedMeans(levels.Levels):
    """Rounds weights to zero and the same number of levels on each side of it.

    The first cut is the mean of all weights of one sign, each further one the mean of
    those beyond the last. Weights before the first cut become zero; those behind each
    cut have one level, which starts at their mean.

    Args:
        kernel: The kernel's first values.
        count: Number of levels, odd.
        **options: Options of every layer.
    """

    def __init__(self, kernel: tf.Tensor, count: int, **options):
        super().__init__(**options)
        self._side = count // 2
        kernel = tf.convert_to_tensor(kernel)
        places = self._find_places(kernel)
        start = []
        for place in range(count):
            inside = tf.equal(places, place)
            mean = tf.math.divide_no_nan(
                tf.reduce_sum(tf.where(inside, kernel, 0.0)),
                tf.reduce_sum(tf.cast(inside, kernel.dtype)),
            )
            start.append(0.0 if place == self._side else float(mean))
        values = tf_keras.initializers.Constant(start)
        self.values = self.add_weight("values", (count,), initializer=values)

    def call(self, weights):
        """The level of each weight; gradients reach the weights and the levels."""
        codes, scale = self._round()
        # What is added is zero: the sum has exactly the values of the first term, and
        # the gradients of the second.
        rounded = codes * scale + (self.values - tf.stop_gradient(self.values))
        # The level zero does not train.
        trained = 1 - tf.one_hot(self._side, 2 * self._side + 1)
        chosen = tf.gather(rounded * trained, self._find_places(weights))
        return chosen + (weights - tf.stop_gradient(weights))

    def find_codes(self, weights: tf.Tensor) -> np.ndarray:
        """The levels of weights as integers, in units that they share, int8."""
        codes, _ = self._round()
        return tf.gather(codes, self._find_places(weights)).numpy().astype(np.int8)

    def _round(self):
        """The code of each level, from -127 to 127, and the level of code 1."""
        values = tf.stop_gradient(self.values)
        scale = tf.reduce_max(tf.abs(values)) / LARGEST
        return tf.round(tf.math.divide_no_nan(values, scale)), scale

    def _find_places(self, weights):
        """The place of each weight's level , counted from the lowest."""
        steps = tf.zeros_like(weights, tf.int32)
        for sign in (1, -1):
            side, cut = sign * weights, tf.constant(0.0)
            for _ in range(self._side):
                inside = tf.cast(side > cut, weights.dtype)
                number = tf.reduce_sum(inside)
                mean = tf.reduce_sum(side * inside) / tf.maximum(number, 1.0)
                cut = tf.maximum(cut, mean)  # No weight may be beyond the last cut.
                beyond = (side >= cut) & (inside > 0)
                steps += sign * tf.cast(beyond, tf.int32)
        return steps + self._side
