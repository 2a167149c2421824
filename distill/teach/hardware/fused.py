"""BatchNormalization by TensorFlow's one fused kernel, for as long as one trains.

Keras computes the norm operation by operation, for every backend alike; on a CPU
that is up to a third of a small ResNet's training step.
"""

import contextlib
from collections.abc import Iterator

import keras
from keras import ops

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
def batch_normalization(model: keras.Model) -> Iterator[None]:
    """Fuses the norms of a model, at every depth, and gives them back as they were.

    On several replicas of TensorFlow, where the kernel would see its replica's
    examples alone, they are synchronized instead. Nothing of it is left in a saved
    or exported network. On other backends it does nothing: their compilers fuse by
    themselves, and see a batch as one whole.

    Args:
        model: Built. Functions traced inside must not be used outside.
    """
    norms = [layer for layer in model._flatten_layers() if _fits(layer)]
    together = tracking.replicas() > 1
    if together:
        norms = [layer for layer in model._flatten_layers() if _is_apart(layer)]
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
        keras.backend.backend() == "tensorflow"
        and type(layer) is keras.layers.BatchNormalization
        and layer.axis in (-1, 3)
        and layer.scale
        and layer.center
        and not (layer.renorm or layer.synchronized)
    )
