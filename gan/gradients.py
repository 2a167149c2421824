"""Gradients with respect to inputs, for each backend: `keras.ops` has none."""

import keras
from keras import ops


def with_gradient(function, inputs):
    """Values of a function, and the gradient of their sum with respect to its input.

    The gradient may itself be differentiated: a penalty on it trains the
    variables inside the function.

    Args:
        function: From a tensor `(batch, ...)`, or a list of them, to `(batch,)`. The
            number of an example must not depend on other examples.
        inputs: The tensor, or the list.

    Returns:
        Values, shape `(batch,)`, and gradients shaped as `inputs`.
    """
    return _BACKENDS[keras.backend.backend()](function, inputs)


def frozen(network, inputs, training: bool):
    """Outputs of a network with constant weights and unchanged state.

    Gradients reach the inputs, but not the network's weights.

    Args:
        network: A built `keras.Model`.
        inputs: The network's inputs.
        training: Whether it is in training mode.
    """
    # A stateless call returns the new state instead of storing it. It is dropped, so
    # that only the network's own loss moves its statistics.
    outputs, _ = network.stateless_call(
        [ops.stop_gradient(variable.value) for variable in network.trainable_variables],
        [variable.value for variable in network.non_trainable_variables],
        inputs,
        training=training,
    )
    return outputs


def squared_norm(gradients):
    """Squared L2 norm of each example's gradient.

    Args:
        gradients: A tensor `(batch, ...)`, or a list of them, which count as one.

    Returns:
        float32, shape `(batch,)`.
    """
    if not isinstance(gradients, list | tuple):
        gradients = [gradients]
    # In float32 also under mixed precision: squares lose digits, and may overflow.
    flat = (ops.reshape(part, (ops.shape(part)[0], -1)) for part in gradients)
    return sum(ops.sum(ops.square(ops.cast(g, "float32")), axis=-1) for g in flat)


def length_penalty(function, real, made, draws):
    """Penalty on gradients whose norm is not 1, between real and generated examples.

    Args:
        function: See `with_gradient`.
        real: A list of tensors `(batch, ...)`.
        made: Generated ones of the same shapes.
        draws: Seed generator of the points, one for each example.

    Returns:
        Squared differences, float32, shape `(batch,)`.

    Source:
        Gulrajani et al., "Improved Training of Wasserstein GANs", NeurIPS 2017,
        section 4. https://arxiv.org/abs/1704.00028
    """
    share = keras.random.uniform((ops.shape(real[0])[0],), seed=draws)
    between = []
    for one, other in zip(real, made, strict=True):
        # Shaped (batch, 1, ..., 1): all values of an example share one point.
        part = ops.reshape(share, (-1, *[1] * (len(one.shape) - 1)))
        between.append(part * one + (1 - part) * other)
    _, slopes = with_gradient(function, between)
    # The square root has an infinite gradient at 0.
    return ops.square(ops.sqrt(squared_norm(slopes) + 1e-12) - 1)


def _tensorflow(function, inputs):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        # A tape watches variables by itself, but tensors only on request.
        tape.watch(inputs)
        values = function(inputs)
    return values, tape.gradient(values, inputs)


def _jax(function, inputs):
    import jax

    # JAX differentiates scalars alone: the sum, with the values as an extra output.
    def total(inputs):
        values = function(inputs)
        return values.sum(), values

    (_, values), gradients = jax.value_and_grad(total, has_aux=True)(inputs)
    return values, gradients


def _torch(function, inputs):
    import torch

    with torch.enable_grad():
        flat = inputs if isinstance(inputs, list | tuple) else [inputs]
        # A computed tensor keeps its graph, so that the penalty reaches what computed
        # it. Any other is copied, so that the caller's tensor is not marked.
        flat = [p if p.requires_grad else p.detach().requires_grad_() for p in flat]
        inputs = flat if isinstance(inputs, list | tuple) else flat[0]
        values = function(inputs)
        # `create_graph`: the penalty on these gradients is differentiated again.
        gradients = torch.autograd.grad(values.sum(), flat, create_graph=True)
    return values, list(gradients) if isinstance(inputs, list | tuple) else gradients[0]


_BACKENDS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
