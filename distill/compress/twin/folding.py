"""Rewrites twins so that quantization and clustering reach the file unchanged."""

from collections.abc import Collection

import tf_keras

from distill.compress.twin import calls
from students.keras_models import folding


def make_quantizable(
    model: tf_keras.Model, leave: Collection[str] = ()
) -> tf_keras.Model:
    """Rewrites a model so that TF-MOT quantizes each of its kernels.

    A norm without a kernel before it, as in pre-activation networks, becomes a
    depthwise convolution of one pixel, since TF-MOT refuses the norm. Its scale and
    offset still train, its statistics do not. A rectifier right behind a kernel
    becomes the activation of that layer: otherwise TF-MOT would leave the kernel in
    float in training, and zeros of a pruned one would be lost.

    Args:
        model: A functional tf_keras model without nested models.
        leave: Names of layers that are not changed.

    Returns:
        A model with the outputs of `model` in inference mode; `model` itself if there
        is nothing to rewrite.
    """
    pairs = calls.sole_followers(model)
    # TF-MOT quantizes a kernel with the norm behind it as one, but not a transposed
    # convolution with its norm.
    bound = {
        norm
        for kernel, norm in kernel_norms(model).items()
        if not isinstance(model.get_layer(kernel), tf_keras.layers.Conv2DTranspose)
    }
    # `get_output_shape_at(0)`: a layer that is called twice has no `output_shape`.
    norms = {
        layer.name
        for layer in model.layers
        if is_channel_norm(layer)
        and len(layer.get_output_shape_at(0)) == 4
        and layer.name not in {*bound, *leave}
    }
    rectifiers = {
        behind.name: layer.name
        for layer, behind in pairs.items()
        if _is_rectifier(behind)
        and (layer.name in norms or _is_linear_kernel(layer))
        and not {layer.name, behind.name} & set(leave)
    }
    if not norms and not rectifiers:
        return model

    def clone(layer):
        if layer.name in rectifiers:
            # An identity that TF-MOT supports, and that leaves no op in the file.
            return tf_keras.layers.Dropout(0.0, name=layer.name)
        options = layer.get_config()
        if layer.name in norms:
            # One weight and one bias for each channel: the norm's scale and offset.
            options = {"kernel_size": 1, "name": layer.name}
        if layer.name in rectifiers.values():
            options["activation"] = "relu"
        kind = tf_keras.layers.DepthwiseConv2D if layer.name in norms else type(layer)
        return kind.from_config(options)

    copy = tf_keras.models.clone_model(model, clone_function=clone)
    for layer in model.layers:
        weights = layer.get_weights()
        if layer.name in norms:
            scale, offset = folding.affine(layer)
            weights = [scale[None, None, :, None], offset]
        copy.get_layer(layer.name).set_weights(weights)
    return copy


def fold(model: tf_keras.Model) -> tf_keras.Model:
    """Folds each norm right behind a kernel into that kernel, as the converter does.

    The converter multiplies each output channel of a kernel by a factor of the norm.
    Done after clustering, this would turn 16 different weights of a kernel into 16 in
    every channel.

    Args:
        model: A functional tf_keras model without nested models.

    Returns:
        A model with the outputs of `model` in inference mode; its other norms still
        train.
    """
    folded = kernel_norms(model)
    owners = {name: model.get_layer(norm) for name, norm in folded.items()}

    def clone(layer):
        if layer.name in folded.values():
            return tf_keras.layers.Dropout(0.0, name=layer.name)  # The identity.
        more = {"use_bias": True} if layer.name in owners else {}
        return type(layer).from_config({**layer.get_config(), **more})

    copy = tf_keras.models.clone_model(model, clone_function=clone)
    for layer in model.layers:
        weights = layer.get_weights()
        if layer.name in owners:
            weights = folding.absorb(layer, owners[layer.name])
        if layer.name not in folded.values():
            copy.get_layer(layer.name).set_weights(weights)
    return copy


def kernel_norms(model: tf_keras.Model) -> dict[str, str]:
    """Name of each kernel to that of the norm of its channels right behind it."""
    return {
        layer.name: behind.name
        for layer, behind in calls.sole_followers(model).items()
        if _is_linear_kernel(layer) and is_channel_norm(behind)
    }


def is_channel_norm(layer: tf_keras.layers.Layer) -> bool:
    """Whether this is a norm of channels that are the last axis."""
    norm = isinstance(layer, tf_keras.layers.BatchNormalization)
    return norm and list(layer.axis) == [len(layer.get_output_shape_at(0)) - 1]


def _is_rectifier(layer):
    if type(layer) is tf_keras.layers.Activation:
        return layer.activation is tf_keras.activations.relu
    if type(layer) is not tf_keras.layers.ReLU:
        return False
    options = layer.max_value, float(layer.negative_slope), float(layer.threshold)
    return options == (None, 0.0, 0.0)


def _is_linear_kernel(layer):
    """Whether this layer has a kernel and no activation."""
    layers = tf_keras.layers
    kernel = isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | layers.Dense)
    return kernel and layer.activation is tf_keras.activations.linear
