"""A twin written otherwise, so that TF-MOT's work on it reaches the file whole."""

import numpy as np
import tf_keras


def make_quantizable(model: tf_keras.Model) -> tf_keras.Model:
    """Writes a model so that each of its kernels learns to bear eight bits.

    A norm that no kernel goes before, as in pre-activation networks, becomes a
    depthwise convolution of one pixel: TF-MOT refuses it. Its scale and offset
    train on, its statistics stay as they are. A rectifier straight behind a
    kernel becomes the activation of that layer: TF-MOT would leave the kernel in
    float while it trains, and let a pruned one forget its zeros.

    Args:
        model: A functional tf_keras model without nested or shared ones.

    Returns:
        A model that answers as `model` does in inference mode; `model` itself
        if there is nothing to rewrite.
    """
    norms = {
        layer.name
        for layer in model.layers
        if is_norm_alone(layer) and len(layer.output.shape) == 4
    }
    rectifiers = {
        layer.name: before(layer).name
        for layer in model.layers
        if _is_rectifier(layer)
        and (_has_kernel(before(layer)) or before(layer).name in norms)
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
        model: A functional tf_keras model without nested or shared ones.

    Returns:
        A model that answers as `model` does in inference mode; its other norms
        train on.
    """
    norms = {
        layer.name: before(layer)
        for layer in model.layers
        if isinstance(layer, tf_keras.layers.BatchNormalization)
        and _has_kernel(before(layer))
        and before(layer).activation is tf_keras.activations.linear
    }
    owners = {kernel.name: model.get_layer(name) for name, kernel in norms.items()}

    def clone(layer):
        if layer.name in norms:
            return tf_keras.layers.Dropout(0.0, name=layer.name)  # The identity.
        more = {"use_bias": True} if layer.name in owners else {}
        return type(layer).from_config({**layer.get_config(), **more})

    copy = tf_keras.models.clone_model(model, clone_function=clone)
    for layer in model.layers:
        weights = layer.get_weights()
        if layer.name in owners:
            scale, offset = _affine(owners[layer.name])
            kernel, bias = weights[0], weights[1] if layer.use_bias else 0
            depthwise = isinstance(layer, tf_keras.layers.DepthwiseConv2D)
            factors = scale.reshape(kernel.shape[2:]) if depthwise else scale
            weights = [kernel * factors, bias * scale + offset]
        if layer.name not in norms:
            copy.get_layer(layer.name).set_weights(weights)
    return copy


def is_norm_alone(layer: tf_keras.layers.Layer) -> bool:
    """Whether this is a norm that TF-MOT cannot take together with a kernel."""
    norm = isinstance(layer, tf_keras.layers.BatchNormalization)
    return norm and not _has_kernel(before(layer))


def _affine(norm):
    """Scale and offset of a norm in inference mode; each option of it may be off."""
    gamma = norm.gamma.numpy() if norm.scale else 1
    beta = norm.beta.numpy() if norm.center else 0
    scale = gamma / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
    return scale, beta - norm.moving_mean.numpy() * scale


def _is_rectifier(layer):
    if type(layer) is not tf_keras.layers.ReLU:
        return False
    options = layer.max_value, float(layer.negative_slope), float(layer.threshold)
    return options == (None, 0.0, 0.0) and len(before(layer).outbound_nodes) == 1


def _has_kernel(layer):
    """Whether a layer has a kernel, and one user: TF-MOT then takes them together."""
    layers = tf_keras.layers
    kernel = isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | layers.Dense)
    return kernel and len(layer.outbound_nodes) == 1


def before(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
    """The layer whose output this one is given; a list where there are several."""
    return layer.inbound_nodes[0].inbound_layers
