"""A Keras 3 layer or operation -> layers of tf_keras that compute the same."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tf_keras

layers = tf_keras.layers


class Unmatched(ValueError):
    """Why one layer has no counterpart, in a few words."""


def of_layer(layer, name: str) -> tuple[tf_keras.layers.Layer, Callable]:
    """The tf_keras layer of the same class and options.

    Args:
        layer: Of Keras 3, built.
        name: For the counterpart.

    Returns:
        The layer, which takes the weights of `layer`; and a function that calls
        it, with whatever tf_keras cannot do inside it behind.

    Raises:
        Unmatched: If there is none.
    """
    kind = getattr(layers, type(layer).__name__, None)
    if not type(layer).__module__.startswith("keras."):
        raise Unmatched("it is no standard layer")
    if kind is None:
        raise Unmatched("tf_keras has no such layer")
    options = _options(layer, kind)
    if type(layer) is keras.layers.Normalization:
        # As constants: the two keep what they have learned in different variables.
        options["mean"], options["variance"] = map(_constant, _moments(layer))
    behind = None
    if isinstance(options.get("activation"), str):
        options["activation"], behind = _activation(options["activation"])
    made = kind(**options, name=name)
    if behind is None:
        return made, made
    behind = behind(name)
    return made, lambda *given, **more: behind(made(*given, **more))


def of_operation(operation) -> Callable[..., Any]:
    """What stands for an operation that is no layer.

    Args:
        operation: Of a functional Keras 3 model, such as `keras.ops.add` made it.

    Returns:
        A function from a name and the operation's arguments, tf_keras tensors or
        constants, to a tf_keras tensor. It raises `Unmatched` where tf_keras has
        no layer for such arguments.

    Raises:
        Unmatched: If there is none.
    """
    kind = type(operation).__name__
    if kind in _OPERATIONS and type(operation).__module__.startswith("keras."):
        return functools.partial(_OPERATIONS[kind], operation)
    raise Unmatched("tf_keras has no layer for this operation")


def _options(layer, kind):
    """What both classes know; what only one knows must be as if it were not there."""
    known = set(inspect.signature(kind.__init__).parameters)
    own = inspect.signature(type(layer).__init__).parameters
    left_behind = ("initializer", "regularizer", "constraint", "dtype", "name")
    options = {}
    for key, value in layer.get_config().items():
        if key.endswith(left_behind):
            continue
        key = key if key in known else _RENAMED.get(key, key)
        if key in known:
            options[key] = value
        elif key in own and value not in (own[key].default, _ONLY_WAY.get(key)):
            raise Unmatched(f"tf_keras has no option `{key}`, here {value!r}")
    return options


_RENAMED = {"negative_slope": "alpha"}
_ONLY_WAY = {"data_format": "channels_last"}  # Of a class without the option.


def _moments(layer):
    """Mean and variance of a `Normalization`, of which it may have learned none."""
    learned = getattr(layer, "mean", None) is not None
    names = ("mean", "variance") if learned else ("adapt_mean", "adapt_variance")
    return [np.squeeze(keras.ops.convert_to_numpy(getattr(layer, n))) for n in names]


def _activation(name):
    """tf_keras' activation of this name; or none, and what computes it behind."""
    if name in _COMPOSED:
        return "linear", _COMPOSED[name]
    name = {"silu": "swish"}.get(name, name)
    if not _agree(name):
        raise Unmatched(f"tf_keras computes no activation `{name}` as Keras 3 does")
    return name, None


@functools.cache
def _agree(name):
    """Whether an activation of this name is the same function in both."""
    points = np.linspace(-7, 7, 57, dtype="float32")[None]
    try:
        theirs = tf_keras.activations.get(name)(tf_keras.backend.constant(points))
    except ValueError:
        return False
    ours = keras.ops.convert_to_numpy(keras.activations.get(name)(points))
    return np.allclose(theirs, ours, rtol=1e-5, atol=1e-6)


def _hard_sigmoid(name):
    """tf_keras has one of this name, with another slope."""
    shift = layers.Rescaling(1.0, 3.0, name=f"{name}_shift")
    clip = layers.ReLU(6.0, name=f"{name}_clip")
    scale = layers.Rescaling(1 / 6, name=f"{name}_scale")
    return lambda x: scale(clip(shift(x)))


def _hard_silu(name):
    gate, sigmoid = layers.Multiply(name=f"{name}_gate"), _hard_sigmoid(name)
    return lambda x: gate([x, sigmoid(x)])


# Name of an activation to what makes layers that compute it: once, since a layer
# may be called twice.
_COMPOSED: dict[str, Callable] = {
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": _hard_silu,
    "hard_swish": _hard_silu,
    "relu6": lambda name: layers.ReLU(6.0, name=f"{name}_relu6"),
    "leaky_relu": lambda name: layers.LeakyReLU(0.2, name=f"{name}_leaky"),
}


def is_tensor(value) -> bool:
    """Whether this is a symbolic tensor of tf_keras."""
    return isinstance(value, tf_keras.__internal__.KerasTensor)


def _constant(value):
    """A number or a list of them: what a layer's config can hold."""
    if is_tensor(value):
        raise Unmatched("tf_keras has no layer for these operands")
    array = np.asarray(keras.ops.convert_to_numpy(value), float)
    return array.item() if array.size == 1 else array.tolist()


def _merge(kind, scale_and_offset):
    """Of two tensors a layer; of a tensor and a constant, `Rescaling`."""

    def place(operation, name, a, b):
        if is_tensor(a) and is_tensor(b):
            if kind is None:
                raise Unmatched("tf_keras has no layer for two tensors here")
            return kind(name=name)([a, b])
        return _rescaled(name, *scale_and_offset(a, b))

    return place


def _rescaled(name, x, scale, offset):
    return layers.Rescaling(scale, offset, name=name)(x)


def _sum(a, b):
    return (a, 1.0, _constant(b)) if is_tensor(a) else (b, 1.0, _constant(a))


def _difference(a, b):
    if is_tensor(a):
        return a, 1.0, _constant(-np.asarray(_constant(b)))
    return b, -1.0, _constant(a)


def _product(a, b):
    return (a, _constant(b), 0.0) if is_tensor(a) else (b, _constant(a), 0.0)


def _quotient(a, b):
    return a, _constant(1 / np.asarray(_constant(b))), 0.0


def _activated(activation):
    """An operation of `keras.ops` without options."""

    def place(operation, name, x):
        known, behind = _activation(activation)
        made = behind(name) if behind else layers.Activation(known, name=name)
        return made(x)

    return place


def _shaped(operation, name, x):
    """The same numbers in another shape: every example keeps its own."""
    shape = operation.compute_output_spec(keras.KerasTensor(x.shape, x.dtype.name))
    if shape.shape[0] is not None or None in shape.shape[1:]:
        raise Unmatched("tf_keras' Reshape keeps the first axis and knows the others")
    return layers.Reshape(shape.shape[1:], name=name)(x)


def _pooled(kinds):
    """A mean or a maximum over all that is between the first and the last axis."""

    def place(operation, name, x):
        rank = len(x.shape)
        axes = operation.axis if operation.axis is not None else ()
        axes = {axis % rank for axis in np.atleast_1d(axes)}
        if rank not in kinds or axes != set(range(1, rank - 1)):
            raise Unmatched("tf_keras has no layer that pools these axes alone")
        return kinds[rank](keepdims=operation.keepdims, name=name)(x)

    return place


def _joined(operation, name, parts):
    return layers.Concatenate(operation.axis, name=name)(list(parts))


_ADD = _merge(layers.Add, _sum)
_SUBTRACT = _merge(layers.Subtract, _difference)
_MULTIPLY = _merge(layers.Multiply, _product)
_DIVIDE = _merge(None, _quotient)

# Class of an operation to what is called with it, a name and its arguments.
_OPERATIONS: dict[str, Callable] = {
    "Add": _ADD,
    "Subtract": _SUBTRACT,
    "Multiply": _MULTIPLY,
    "Divide": _DIVIDE,
    "TrueDivide": _DIVIDE,
    "Negative": lambda _, name, x: _rescaled(name, x, -1.0, 0.0),
    "Identity": lambda _, name, x: layers.Activation("linear", name=name)(x),
    "Relu": _activated("relu"),
    "Relu6": _activated("relu6"),
    "Sigmoid": _activated("sigmoid"),
    "Tanh": _activated("tanh"),
    "Silu": _activated("silu"),
    "HardSigmoid": _activated("hard_sigmoid"),
    "HardSilu": _activated("hard_silu"),
    "Reshape": _shaped,
    "Squeeze": _shaped,
    "ExpandDims": _shaped,
    "Concatenate": _joined,
    "Mean": _pooled(
        {3: layers.GlobalAveragePooling1D, 4: layers.GlobalAveragePooling2D}
    ),
    "Max": _pooled({3: layers.GlobalMaxPooling1D, 4: layers.GlobalMaxPooling2D}),
}
