"""The form in which TensorFlow trains a model, for as long as one trains.

BatchNormalization by its one fused kernel: Keras computes the norm operation by
operation, for every backend alike; on a CPU that is up to a third of a small ResNet's
training step. And no strided convolution of one pixel: see `distill.runtime.strided`.
"""

import contextlib
from collections.abc import Iterator

import keras
from keras import ops

from distill.runtime import strided
from trainers import tracking


class _FusedBatchNormalization(keras.layers.BatchNormalization):
    """Computes what its base does, up to rounding, where the kernel can."""

    def call(self, inputs, training=None, mask=None):
        """See `keras.layers.BatchNormalization`."""
        known = inputs.dtype in ("float32", "bfloat16")
        if mask is not None or not known or len(inputs.shape) != 4:
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        learns = bool(training) and self.trainable
        moving = self.moving_mean, self.moving_variance
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            ops.cast(self.gamma, "float32"),
            ops.cast(self.beta, "float32"),
            *(
                (None, None)
                if learns
                else (ops.cast(value, "float32") for value in moving)
            ),
            epsilon=self.epsilon,
            is_training=learns,
        )
        if learns:
            # The kernel returns the unbiased variance; Keras averages the biased one.
            count = ops.cast(ops.prod(ops.shape(inputs)[:3]), "float32")
            found = mean, variance * (count - 1) / count
            for kept, value in zip(moving, found, strict=True):
                before = ops.cast(kept, "float32")
                kept.assign(before * self.momentum + value * (1 - self.momentum))
        return outputs


@contextlib.contextmanager
def for_training(model: keras.Model) -> Iterator[None]:
    """Gives a model this form, at every depth, and afterwards its own again.

    On several replicas of TensorFlow, where the kernel would see its replica's
    examples alone, norms are synchronized instead. Nothing of it is left in a saved
    or exported network. On other backends it does nothing: their compilers fuse by
    themselves, and see a batch as one whole.

    Args:
        model: Built. Functions traced inside must not be used outside.
    """
    layers = model._flatten_layers() if keras.backend.backend() == "tensorflow" else ()
    layers = list(layers)
    with strided.unstrided(layers), _norms(layers):
        yield


@contextlib.contextmanager
def _norms(layers):
    together = tracking.replicas() > 1
    norms = [layer for layer in layers if (_is_apart if together else _fits)(layer)]
    try:
        for layer in norms:
            if together:
                layer.synchronized = True
            else:
                layer.__class__ = _FusedBatchNormalization
        yield
    finally:
        for layer in norms:
            if together:
                layer.synchronized = False
            else:
                layer.__class__ = keras.layers.BatchNormalization


def _is_apart(layer):
    norm = isinstance(layer, keras.layers.BatchNormalization)
    return norm and not layer.synchronized


def _fits(layer):
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.axis in (-1, 3)
        and layer.scale
        and layer.center
        and not (layer.renorm or layer.synchronized)
    )
