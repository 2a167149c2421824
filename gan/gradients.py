"""Gradients with respect to inputs, which `keras.ops` lacks: a branch a backend."""

import keras
from keras import ops


def with_gradient(function, inputs):
    """Values of a function, and the gradient of their sum with respect to its input.

    The gradient may itself be differentiated: a penalty on it trains the
    variables inside the function.

    Args:
        function: From a tensor `(batch, ...)` to `(batch,)`, one example's number
            not depending on another's; or from a list of tensors.
        inputs: The tensor, or the list.

    Returns:
        Values, shape `(batch,)`, and gradients shaped as `inputs`.
    """
    return _BACKENDS[keras.backend.backend()](function, inputs)


def frozen(network, inputs, training: bool):
    """Outputs of a network whose weights are constants, and whose state stays.

    Gradients reach who made the inputs, and pass the network by.

    Args:
        network: A built `keras.Model`.
        inputs: What it takes.
        training: Whether it is in training mode.
    """
    outputs, _ = network.stateless_call(
        [ops.stop_gradient(variable.value) for variable in network.trainable_variables],
        [variable.value for variable in network.non_trainable_variables],
        inputs,
        training=training,
    )
    return outputs


def squared_norm(gradients):
    """Squared length of each example's gradient.

    Args:
        gradients: A tensor `(batch, ...)`, or a list of them, then taken together.

    Returns:
        float32, shape `(batch,)`.
    """
    if not isinstance(gradients, list | tuple):
        gradients = [gradients]
    flat = (ops.reshape(part, (ops.shape(part)[0], -1)) for part in gradients)
    return sum(ops.sum(ops.square(ops.cast(g, "float32")), axis=-1) for g in flat)


def length_penalty(function, real, made, draws):
    """How far gradients are from length 1, at points between what is real and made.

    Args:
        function: See `with_gradient`.
        real: A list of tensors `(batch, ...)`.
        made: Of the same shapes.
        draws: The seed generator of the points, one an example.

    Returns:
        Squared differences, float32, shape `(batch,)`.

    Source:
        Gulrajani et al., "Improved Training of Wasserstein GANs", NeurIPS 2017,
        section 4. https://arxiv.org/abs/1704.00028
    """
    share = keras.random.uniform((ops.shape(real[0])[0],), seed=draws)
    between = []
    for one, other in zip(real, made, strict=True):
        part = ops.reshape(share, (-1, *[1] * (len(one.shape) - 1)))
        between.append(part * one + (1 - part) * other)
    _, slopes = with_gradient(function, between)
    # An epsilon: the root of zero has no gradient.
    return ops.square(ops.sqrt(squared_norm(slopes) + 1e-12) - 1)


def _tensorflow(function, inputs):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(inputs)
        values = function(inputs)
    return values, tape.gradient(values, inputs)


def _jax(function, inputs):
    import jax

    def total(inputs):
        values = function(inputs)
        return values.sum(), values

    (_, values), gradients = jax.value_and_grad(total, has_aux=True)(inputs)
    return values, gradients


def _torch(function, inputs):
    import torch

    with torch.enable_grad():
        flat = inputs if isinstance(inputs, list | tuple) else [inputs]
        # One that was computed keeps the way back to whoever made it; a given one is
        # not marked, but a copy of it.
        flat = [p if p.requires_grad else p.detach().requires_grad_() for p in flat]
        inputs = flat if isinstance(inputs, list | tuple) else flat[0]
        values = function(inputs)
        gradients = torch.autograd.grad(values.sum(), flat, create_graph=True)
    return values, list(gradients) if isinstance(inputs, list | tuple) else gradients[0]


_BACKENDS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
