"""Kernels on multiples of one trained number, and the bits that these take packed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from distill.compress.quantize import levels
from distill.runtime import errors

MOST = 127  # Levels on each side of zero that eight bits hold.
_LEAST = 1e-12  # Of a scale: a kernel may be zero throughout.
_FLOOR = 1e-4  # Of distortion and rate in their product: less is as good as nothing.
_LOG_2 = float(np.log(2))  # Bits have this many nats.


class Bins(levels.Levels):
    """Rounds a kernel to multiples of one number, the width of its bins.

    Args:
        kernel: The values whose standard deviation is the first width.
        width: See `coded.Coded`.

    Source:
        A width that trains under rate and distortion: "Adaptive Sample-space &
        Adaptive Probability coding", submitted to ICLR 2019, there for images. Its
        gradient: Esser et al., "Learned Step Size Quantization", ICLR 2020, section 2.
    """

    def __init__(self, kernel: Any, width: float | None = None):
        super().__init__(name="bins")
        start = np.log((np.std(kernel) or 0.01) * (width or 1))
        self.log_width = self.add_weight(
            "log_width",
            (),
            initializer=tf_keras.initializers.Constant(start),
            trainable=width is None,
        )

    @property
    def width(self) -> tf.Tensor:
        """The width of a bin, a scalar."""
        return tf.exp(self.log_width)

    def index(self, weights: Any) -> tf.Tensor:
        """The number of each weight's bin, a whole number as a float."""
        scaled = tf.convert_to_tensor(weights) / self.width
        return levels.straight_through(scaled, tf.round(scaled))

    def call(self, weights):
        """The centre of each weight's bin."""
        return self.width * self.index(weights)

    def bits(self, weights: Any) -> tf.Tensor:
        """Bits of all bin numbers of a kernel, a scalar.

        A bin k is as probable as a Laplace distribution makes it whose scale b is the
        mean absolute weight: P(k) = F((k + 1/2) D) - F((k - 1/2) D).
        """
        scale = tf.maximum(tf.reduce_mean(tf.abs(weights)), _LEAST)
        step = self.width / scale
        far = tf.abs(self.index(weights))
        # Of either side, in closed form: F's differences lose all digits far out.
        zero = -tf.math.log(-tf.math.expm1(-step / 2))
        side = _LOG_2 - tf.math.log(-tf.math.expm1(-step)) + (far - 0.5) * step
        return tf.reduce_sum(tf.where(far < 0.5, zero, side)) / _LOG_2


def wrap(model: tf_keras.Model, width: float | None = None) -> tf_keras.Model:
    """A copy of a model with every kernel of `levels.KINDS` in `Bins`."""
    return levels.wrap(model, lambda layer: Bins(layer.kernel, width))


def train(
    model: tf_keras.Model, tradeoff: Any, fit: Callable[..., None]
) -> tf_keras.Model:
    """Trains a model whose kernels are in `Bins`, under rate and distortion.

    Args:
        model: A model with at least one such kernel.
        tradeoff: See `coded.Coded`.
        fit: Trains a model with the given `training.Changes`.

    Returns:
        The model.

    Raises:
        FinishError: If a kernel then has too many levels for eight bits.
    """
    kernels = levels.find(model)
    weights = float(sum(np.prod(kernel.variable.shape) for kernel in kernels))

    def rate():
        """Bits of a weight, on average."""
        bits = [kernel.levels.bits(kernel.variable) for kernel in kernels]
        return tf.add_n(bits) / weights

    def add(distortion, rate):
        return distortion + tradeoff * rate

    if tradeoff:
        combine = log_product if tradeoff == "product" else add
        fit(model, penalty=rate, combine=combine, optimizer="adam")
    else:
        fit(model, optimizer="adam")
    for kernel in kernels:
        check_levels(kernel)
    return model


def log_product(distortion: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
    """The logarithm of distortion times rate, so that neither needs a weight.

    Without its floor, it would be infinite at a distortion of zero, which a network
    reaches that learns from labels alone.
    """
    factors = [tf.maximum(factor, _FLOOR) for factor in (distortion, rate)]
    return tf.math.log(factors[0]) + tf.math.log(factors[1])


def unwrap(model: tf_keras.Model) -> tuple[tf_keras.Model, list[np.ndarray]]:
    """A model without its bins, and the codes of its kernels for `exact.store`."""
    found = [
        levels.channels_first(kernel, codes(kernel).astype(np.int8))
        for kernel in levels.find(model)
    ]
    return levels.unwrap(model), found


def codes(kernel: levels.Kernel) -> np.ndarray:
    """The bin numbers of a kernel, in its shape, int."""
    return np.rint(kernel.levels.index(kernel.variable)).astype(int)


def check_levels(kernel: levels.Kernel) -> None:
    """Refuses a kernel with too many levels for eight bits.

    Raises:
        FinishError: Names the layer.
    """
    most = np.abs(codes(kernel)).max(initial=0)
    if most > MOST:
        raise errors.FinishError(
            f"`{kernel.layer.name}` has {most} levels on a side of zero, but a file of "
            f"eight bits holds {MOST}: raise `tradeoff`, or lower `learning_rate`"
        )
