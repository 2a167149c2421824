"""What TF-MOT does not quantize as it stands, written so that it does."""

import numpy as np
import tf_keras


def quantizable(model: tf_keras.Model) -> tf_keras.Model:
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
    norms = {layer.name for layer in model.layers if is_norm_alone(layer)}
    rectifiers = {
        layer.name: _before(layer).name
        for layer in model.layers
        if _is_rectifier(layer)
        and (_has_kernel(_before(layer)) or _before(layer).name in norms)
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
            gamma, beta, mean, variance = weights
            scale = gamma / np.sqrt(variance + layer.epsilon)
            weights = [scale[None, None, :, None], beta - mean * scale]
        copy.get_layer(layer.name).set_weights(weights)
    return copy


def is_norm_alone(layer: tf_keras.layers.Layer) -> bool:
    """Whether this is a norm that TF-MOT cannot take together with a kernel."""
    norm = isinstance(layer, tf_keras.layers.BatchNormalization)
    return norm and not _has_kernel(_before(layer))


def _is_rectifier(layer):
    if type(layer) is not tf_keras.layers.ReLU:
        return False
    options = layer.max_value, float(layer.negative_slope), float(layer.threshold)
    return options == (None, 0.0, 0.0) and len(_before(layer).outbound_nodes) == 1


def _has_kernel(layer):
    """Whether a layer has a kernel, and one user: TF-MOT then takes them together."""
    layers = tf_keras.layers
    kernel = isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | layers.Dense)
    return kernel and len(layer.outbound_nodes) == 1


def _before(layer):
    return layer.inbound_nodes[0].inbound_layers
