"""A twin written otherwise, so that TF-MOT's work on it reaches the file whole."""

from collections.abc import Collection

import numpy as np
import tf_keras

from distill.compress.twin import calls


def make_quantizable(
    model: tf_keras.Model, leave: Collection[str] = ()
) -> tf_keras.Model:
    """Writes a model so that each of its kernels learns to bear eight bits.

    A norm that no kernel goes before, as in pre-activation networks, becomes a
    depthwise convolution of one pixel: TF-MOT refuses it. Its scale and offset
    train on, its statistics stay as they are. A rectifier straight behind a
    kernel becomes the activation of that layer: TF-MOT would leave the kernel in
    float while it trains, and let a pruned one forget its zeros.

    Args:
        model: A functional tf_keras model without nested models.
        leave: Names of layers that stay as they are.

    Returns:
        A model that answers as `model` does in inference mode; `model` itself
        if there is nothing to rewrite.
    """
    pairs = calls.followed(model)
    bound = {  # Taken together with their kernels.
        norm
        for kernel, norm in normed(model).items()
        if not isinstance(model.get_layer(kernel), tf_keras.layers.Conv2DTranspose)
    }
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
            return tf_keras.layers.Dropout(0.0, name=layer.name)  # The identity.
        options = layer.get_config()
        if layer.name in norms:
            options = {"kernel_size": 1, "name": layer.name}
        if layer.name in rectifiers.values():
            options["activation"] = "relu"
        kind = tf_keras.layers.DepthwiseConv2D if layer.name in norms else type(layer)
        return kind.from_config(options)

    copy = tf_keras.models.clone_model(model, clone_function=clone)
    for layer in model.layers:
        weights = layer.get_weights()
        if layer.name in norms:
            scale, offset = _affine(layer)
            weights = [scale[None, None, :, None], offset]
        copy.get_layer(layer.name).set_weights(weights)
    return copy


def fold(model: tf_keras.Model) -> tf_keras.Model:
    """Puts each norm straight behind a kernel into that kernel, as the converter does.

    The converter multiplies each output channel of a kernel by its norm's own
    factor, after which 16 different weights would be 16 in every channel.

    Args:
        model: A functional tf_keras model without nested models.

    Returns:
        A model that answers as `model` does in inference mode; its other norms
        train on.
    """
    found = normed(model)
    owners = {name: model.get_layer(norm) for name, norm in found.items()}

    def clone(layer):
        if layer.name in found.values():
            return tf_keras.layers.Dropout(0.0, name=layer.name)  # The identity.
        more = {"use_bias": True} if layer.name in owners else {}
        return type(layer).from_config({**layer.get_config(), **more})

    copy = tf_keras.models.clone_model(model, clone_function=clone)
    for layer in model.layers:
        weights = layer.get_weights()
        if layer.name in owners:
            scale, offset = _affine(owners[layer.name])
            kernel, bias = weights[0], weights[1] if layer.use_bias else 0
            weights = [kernel * _factors(layer, scale), bias * scale + offset]
        if layer.name not in found.values():
            copy.get_layer(layer.name).set_weights(weights)
    return copy


def normed(model: tf_keras.Model) -> dict[str, str]:
    """Name of each kernel to that of the norm of its channels straight behind it."""
    return {
        layer.name: behind.name
        for layer, behind in calls.followed(model).items()
        if _is_linear_kernel(layer) and is_channel_norm(behind)
    }


def _affine(norm):
    """Scale and offset of a norm in inference mode; each option of it may be off."""
    gamma = norm.gamma.numpy() if norm.scale else 1
    beta = norm.beta.numpy() if norm.center else 0
    scale = gamma / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
    return scale, beta - norm.moving_mean.numpy() * scale


def _factors(layer, scale):
    """One factor an output channel, in the shape of the kernel's last axes."""
    if isinstance(layer, tf_keras.layers.Conv2DTranspose):
        return scale[:, None]
    if isinstance(layer, tf_keras.layers.DepthwiseConv2D):
        return scale.reshape(layer.depthwise_kernel.shape[2:])
    return scale


def is_channel_norm(layer: tf_keras.layers.Layer) -> bool:
    """Whether this is a norm of the channels, which are last."""
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
    """Whether this is a kernel with nothing behind it in the layer itself."""
    layers = tf_keras.layers
    kernel = isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | layers.Dense)
    return kernel and layer.activation is tf_keras.activations.linear
