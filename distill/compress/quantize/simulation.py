"""Our own quantization-aware training, for twins that TF-MOT does not support."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from distill.compress.prune import magnitude
from distill.compress.quantize import int8_layers, rounding
from distill.compress.twin import calls, folding, moves

layers = tf_keras.layers


def simulate(
    model: tf_keras.Model,
    *,
    zeros: bool = False,
    clusters: bool = False,
    levels: Mapping[str, Any] | None = None,
) -> tf_keras.Model:
    """A copy of a model that simulates eight bits in training.

    Kernels have a symmetric scale for each output channel, so that a norm behind a
    kernel can be folded into it without another rounding; `Dense` without a norm has
    one scale. A table of embeddings is not trained. Each call of a layer has its own
    ranges; weights stay shared.

    Args:
        model: A functional tf_keras model without nested models.
        zeros: Whether zeros of the kernels stay zero.
        clusters: Whether equal weights of a kernel stay equal: they get the average
            of their gradients.
        levels: Name of each layer whose kernel is rounded to levels to its
            `levels.Levels`, with the `width` of which all levels are multiples.

    Returns:
        A model with the same inputs and outputs. Its ranges are measured in training:
        before the first step all its outputs are zero.

    Raises:
        ValueError: If a layer makes a mask, which TFLite has not.
    """
    for layer in model.layers:
        if getattr(layer, "mask_zero", False) or isinstance(layer, layers.Masking):
            raise ValueError(f"`{layer.name}` makes a mask, which no int8 op heeds")
    # Calls are split first, so that each gets its own ranges. Shared layers are not
    # rewritten: their copies must keep the weights in common.
    model, owners = calls.split_calls(model)
    model = folding.make_quantizable(model, leave={*owners, *owners.values()})
    norms = _norms_behind(model)
    unrounded = _unrounded(model, norms)
    shared: dict[str, layers.Layer] = {}

    def clone(layer):
        copy = type(layer).from_config(layer.get_config())
        if _keeps_scale(layer):
            return copy
        copy = shared.setdefault(owners.get(layer.name, layer.name), copy)
        return int8_layers.Quantized(
            copy,
            rounds=layer.name not in unrounded,
            normed=layer.name in norms or layer.name in norms.values(),
            change_gradient=_gradient_change(layer, zeros, clusters),
            levels=(levels or {}).get(owners.get(layer.name, layer.name)),
            name=f"quant_{layer.name}",
        )

    copy = tf_keras.models.clone_model(model, clone_function=clone)
    for old, new in zip(model.layers, copy.layers, strict=True):
        new = getattr(new, "layer", new)
        new.set_weights(old.get_weights())
        new.trainable = not isinstance(new, layers.Embedding)
    # The file rounds its inputs too, but not ids.
    inputs = [tf_keras.Input(one.shape[1:], dtype=one.dtype) for one in model.inputs]
    rounded = [
        one if one.dtype.is_integer else rounding.Range(name=f"input{number}")(one)
        for number, one in enumerate(inputs)
    ]
    outputs = copy(tf.nest.pack_sequence_as(model.input, rounded))
    inputs = tf.nest.pack_sequence_as(model.input, inputs)
    return tf_keras.Model(inputs, outputs, name=model.name)


def _norms_behind(model):
    """Name of each kernel to that of the norm right behind it; both become one op."""
    return {
        layer.name: behind.name
        for layer, behind in calls.sole_followers(model).items()
        if type(layer) in _KERNELS
        and rounding.is_linear(layer)
        and isinstance(behind, layers.BatchNormalization)
        and list(behind.axis) == [len(layer.output.shape) - 1]
    }


def _unrounded(model, norms):
    """Names of layers whose output is not rounded, since the next is in the same op."""
    followers = calls.sole_followers(model)
    names = set(norms)
    for layer, behind in followers.items():
        sums = isinstance(layer, _SUMS) or layer.name in norms.values()
        kernel = type(layer) in _KERNELS and rounding.is_linear(layer)
        if _is_rectifier(behind) and (sums or kernel):
            names.add(layer.name)
    for layer in model.layers:
        gate = _hard_swish(layer)
        if all(part in followers for part in gate):
            names.update(part.name for part in gate)
    return names


def _hard_swish(layer):
    """The three layers that form TFLite's HARD_SWISH with this product; else none."""
    if type(layer) is not layers.Multiply or len(layer.inbound_nodes) > 1:
        return []
    # From the product back to x: x * relu6(x + 3) / 6, with the factors in any order.
    for x, gate in (layer.input, layer.input[::-1]):
        parts = []
        for is_expected in (_is_sixth, _is_clip, _is_shift):
            part = gate._keras_history.layer
            if not is_expected(part) or len(part.inbound_nodes) > 1:
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
    """Whether TFLite fuses this layer into the op before it."""
    if type(layer) is layers.Activation:
        return layer.activation is tf_keras.activations.relu
    if type(layer) is not layers.ReLU or layer.max_value not in (None, 6):
        return False
    return float(layer.negative_slope) == float(layer.threshold) == 0


def _keeps_scale(layer):
    """Whether the output has the scale of the input, in TFLite too."""
    if type(layer) is layers.Activation:
        return rounding.is_linear(layer)
    return isinstance(layer, _KEEP_SCALE)


def _gradient_change(layer, zeros, clusters):
    """A function that changes a kernel's gradient to preserve zeros or clusters.

    None if nothing is to be preserved.
    """
    kernels = magnitude.kernels(layer)
    if not kernels or not (zeros or clusters):
        return None
    (values,) = (kernel.numpy() for kernel in kernels)
    is_trained = (values.ravel() != 0) | (not zeros)
    # Equal weights are one cluster; without clusters, each weight is its own.
    _, cluster = np.unique(values, return_inverse=True)
    cluster = cluster.ravel() if clusters else np.arange(values.size)

    def change(gradient):
        flat = tf.reshape(gradient, [-1])
        mean = tf.math.unsorted_segment_mean(flat, cluster, cluster.max() + 1)
        changed = tf.gather(mean, cluster) * is_trained.astype("float32")
        return tf.reshape(changed, gradient.shape)

    return change


_KERNELS = (layers.Conv1D, layers.Conv2D, layers.Dense, layers.DepthwiseConv2D)
_SUMS = (layers.Add, layers.Subtract, layers.Multiply, layers.Rescaling)
# A slice keeps its scale too, but the converter fails where several slices share one
# scale: a slice is rounded.
_KEEP_SCALE = (
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
