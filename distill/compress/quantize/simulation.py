"""Training in eight bits of our own, for the twins that TF-MOT refuses."""

import numpy as np
import tensorflow as tf
import tf_keras

from distill.compress.prune import magnitude
from distill.compress.quantize import int8_layers, rounding
from distill.compress.twin import calls, folding, moves

layers = tf_keras.layers


def simulate(
    model: tf_keras.Model, *, zeros: bool = False, clusters: bool = False
) -> tf_keras.Model:
    """A model that trains while it computes as with eight bits.

    Kernels have a symmetric scale for each output channel, so that a norm behind
    one may go into it without another rounding; `Dense` without a norm has one for
    all. A table in which ids are looked up stays as it is. Each call of a layer has
    ranges of its own; its weights are shared as ever.

    Args:
        model: A functional tf_keras model without nested models.
        zeros: Whether zeros of the kernels stay zero.
        clusters: Whether equal weights of a kernel stay equal: they learn by the
            average of their gradients.

    Returns:
        A model from the same inputs to the same outputs. Its ranges are those of what
        it is trained on: before the first step it answers nothing but zeros.

    Raises:
        ValueError: If a layer makes a mask, of which TFLite knows nothing.
    """
    for layer in model.layers:
        if getattr(layer, "mask_zero", False) or isinstance(layer, layers.Masking):
            raise ValueError(f"`{layer.name}` makes a mask, which no int8 op heeds")
    model, owners = calls.apart(model)
    model = folding.make_quantizable(model, leave={*owners, *owners.values()})
    joined = _joined(model)
    unrounded = _unrounded(model, joined)
    shared: dict[str, layers.Layer] = {}

    def clone(layer):
        made = type(layer).from_config(layer.get_config())
        if _keeps_scale(layer):
            return made
        made = shared.setdefault(owners.get(layer.name, layer.name), made)
        return int8_layers.Quantized(
            made,
            rounds=layer.name not in unrounded,
            normed=layer.name in joined or layer.name in joined.values(),
            held=_held(layer, zeros, clusters),
            name=f"quant_{layer.name}",
        )

    copy = tf_keras.models.clone_model(model, clone_function=clone)
    for old, new in zip(model.layers, copy.layers, strict=True):
        new = getattr(new, "layer", new)
        new.set_weights(old.get_weights())
        new.trainable = not isinstance(new, layers.Embedding)
    given = [tf_keras.Input(one.shape[1:], dtype=one.dtype) for one in model.inputs]
    rounded = [
        one if one.dtype.is_integer else rounding.Range(name=f"input{number}")(one)
        for number, one in enumerate(given)
    ]
    made = copy(tf.nest.pack_sequence_as(model.input, rounded))
    given = tf.nest.pack_sequence_as(model.input, given)
    return tf_keras.Model(given, made, name=model.name)


def _joined(model):
    """Name of each kernel to that of the norm straight behind it: they are one op."""
    return {
        layer.name: behind.name
        for layer, behind in calls.followed(model).items()
        if type(layer) in _KERNELS
        and rounding.is_linear(layer)
        and isinstance(behind, layers.BatchNormalization)
        and list(behind.axis) == [len(layer.output.shape) - 1]
    }


def _unrounded(model, joined):
    """Names of layers whose output the next takes as it is, in one op with them."""
    followed = calls.followed(model)
    found = set(joined)
    for layer, behind in followed.items():
        sums = isinstance(layer, _SUMS) or layer.name in joined.values()
        kernel = type(layer) in _KERNELS and rounding.is_linear(layer)
        if _is_rectifier(behind) and (sums or kernel):
            found.add(layer.name)
    for layer in model.layers:
        gate = _hard_swish(layer)
        if all(part in followed for part in gate):
            found.update(part.name for part in gate)
    return found


def _hard_swish(layer):
    """The three layers that with this product are TFLite's HARD_SWISH, if it is one."""
    if type(layer) is not layers.Multiply or len(layer.inbound_nodes) > 1:
        return []
    for x, gate in (layer.input, layer.input[::-1]):
        parts = []
        for fits in (_is_sixth, _is_clip, _is_shift):
            part = gate._keras_history.layer
            if not fits(part) or len(part.inbound_nodes) > 1:
                break
            parts.append(part)
            gate = part.input
        if len(parts) == 3 and gate is x:
            return parts
    return []


def _is_sixth(layer):
    return _rescales(layer, 1 / 6, 0)


def _is_shift(layer):
    return _rescales(layer, 1, 3)


def _is_clip(layer):
    return _is_rectifier(layer) and getattr(layer, "max_value", None) == 6


def _rescales(layer, scale, offset):
    return (
        type(layer) is layers.Rescaling
        and np.ndim(layer.scale) == np.ndim(layer.offset) == 0
        and np.allclose((layer.scale, layer.offset), (scale, offset))
    )


def _is_rectifier(layer):
    """Whether TFLite computes this within the op before it."""
    if type(layer) is layers.Activation:
        return layer.activation is tf_keras.activations.relu
    if type(layer) is not layers.ReLU or layer.max_value not in (None, 6):
        return False
    return float(layer.negative_slope) == float(layer.threshold) == 0


def _keeps_scale(layer):
    """Whether what this makes has the scale of what it is given, in TFLite too."""
    if type(layer) is layers.Activation:
        return rounding.is_linear(layer)
    return isinstance(layer, _KEEP_SCALE)


def _held(layer, zeros, clusters):
    """What becomes of a kernel's gradient so that zeros or clusters stay; or None."""
    kernels = magnitude.kernels(layer)
    if not kernels or not (zeros or clusters):
        return None
    (values,) = (kernel.numpy() for kernel in kernels)
    moves = (values.ravel() != 0) | (not zeros)
    _, cluster = np.unique(values, return_inverse=True)
    cluster = cluster.ravel() if clusters else np.arange(values.size)

    def change(gradient):
        flat = tf.reshape(gradient, [-1])
        mean = tf.math.unsorted_segment_mean(flat, cluster, cluster.max() + 1)
        kept = tf.gather(mean, cluster) * moves.astype("float32")
        return tf.reshape(kept, gradient.shape)

    return change


_KERNELS = (layers.Conv1D, layers.Conv2D, layers.Dense, layers.DepthwiseConv2D)
_SUMS = (layers.Add, layers.Subtract, layers.Multiply, layers.Rescaling)
_KEEP_SCALE = (  # A slice would, but the converter fails where several share one.
    moves.TopK,
    layers.AveragePooling1D,
    layers.AveragePooling2D,
    layers.Cropping1D,
    layers.Cropping2D,
    layers.Dropout,
    layers.Flatten,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.GlobalMaxPooling1D,
    layers.GlobalMaxPooling2D,
    layers.InputLayer,
    layers.MaxPooling1D,
    layers.MaxPooling2D,
    layers.Permute,
    layers.RepeatVector,
    layers.Reshape,
    layers.UpSampling1D,
    layers.UpSampling2D,
    layers.ZeroPadding1D,
    layers.ZeroPadding2D,
)
