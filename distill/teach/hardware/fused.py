"""Changes a model for training on TensorFlow, and changes it back afterwards.

BatchNormalization uses TensorFlow's fused kernel. Keras computes it from single
operations, the same for every backend, which on a CPU takes up to a third of a small
ResNet's training step. And no convolution with a kernel of one pixel has a stride: see
`distill.runtime.strided`.
"""

import contextlib
from collections.abc import Iterator

import keras
from keras import ops

from distill.runtime import strided
from trainers import tracking


class _FusedBatchNormalization(keras.layers.BatchNormalization):
    """Computes the same as its base class, up to rounding, by the fused kernel."""

    def call(self, inputs, training=None, mask=None):
        """See `keras.layers.BatchNormalization`."""
        # The kernel takes neither masks, nor other types, nor other ranks.
        supported = inputs.dtype in ("float32", "bfloat16")
        if mask is not None or not supported or len(inputs.shape) != 4:
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
            statistics = mean, variance * (count - 1) / count
            for average, value in zip(moving, statistics, strict=True):
                before = ops.cast(average, "float32")
                average.assign(before * self.momentum + value * (1 - self.momentum))
        return outputs


@contextlib.contextmanager
def for_training(model: keras.Model) -> Iterator[None]:
    """A context in which a model, with all nested layers, has its form for training.

    On several replicas of TensorFlow, BatchNormalization is synchronized instead of
    fused, since the kernel would normalize each replica's examples separately. Saved
    and exported networks do not contain the change. On other backends it does nothing:
    their compilers fuse operations, and treat a batch as one array.

    Args:
        model: A built model. Functions that are traced inside the context must not be
            used outside.
    """
    layers = model._flatten_layers() if keras.backend.backend() == "tensorflow" else ()
    layers = list(layers)
    with strided.unstrided(layers), _norms(layers):
        yield


@contextlib.contextmanager
def _norms(layers):
    synchronize = tracking.replicas() > 1
    is_changed = _is_unsynchronized if synchronize else _is_fusible
    norms = [layer for layer in layers if is_changed(layer)]
    try:
        for layer in norms:
            if synchronize:
                layer.synchronized = True
            else:
                # Only the class changes: the layer keeps its variables and its name.
                layer.__class__ = _FusedBatchNormalization
        yield
    finally:
        for layer in norms:
            if synchronize:
                layer.synchronized = False
            else:
                layer.__class__ = keras.layers.BatchNormalization


def _is_unsynchronized(layer):
    norm = isinstance(layer, keras.layers.BatchNormalization)
    return norm and not layer.synchronized


def _is_fusible(layer):
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.axis in (-1, 3)
        and layer.scale
        and layer.center
        and not (layer.renorm or layer.synchronized)
    )
