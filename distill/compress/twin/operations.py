"""Converts a Keras 3 operation that is not a layer to layers of tf_keras."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tf_keras

from distill.compress.twin import counterparts, moves

layers = tf_keras.layers


def of_operation(operation) -> Callable[..., Any]:
    """The counterpart of an operation that is not a layer.

    Args:
        operation: An operation of a functional Keras 3 model, such as `keras.ops.add`
            creates.

    Returns:
        A function from a name and the operation's arguments, tf_keras tensors or
        constants, to a tf_keras tensor. It raises `counterparts.Unmatched` if tf_keras
        has no layer for these arguments.

    Raises:
        counterparts.Unmatched: If there is no counterpart.
    """
    kind = type(operation).__name__
    if kind in _OPERATIONS and type(operation).__module__.startswith("keras."):
        return functools.partial(_OPERATIONS[kind], operation)
    raise counterparts.Unmatched("tf_keras has no layer for this operation")


def is_tensor(value) -> bool:
    """Whether this is a symbolic tensor of tf_keras."""
    return isinstance(value, tf_keras.__internal__.KerasTensor)


def _constant(value):
    """A constant as a number or a list, which a layer's config can hold."""
    if is_tensor(value):
        raise counterparts.Unmatched("tf_keras has no layer for these operands")
    array = np.asarray(keras.ops.convert_to_numpy(value), float)
    return array.item() if array.size == 1 else array.tolist()


def _merge(kind, scale_and_offset):
    """A layer for two tensors; `Rescaling` for a tensor and a constant."""

    def call(operation, name, a, b):
        if is_tensor(a) and is_tensor(b):
            if kind is None:
                raise counterparts.Unmatched(
                    "tf_keras has no layer for two tensors here"
                )
            return kind(name=name)([a, b])
        return _rescale(name, *scale_and_offset(a, b))

    return call


def _rescale(name, x, scale, offset):
    return layers.Rescaling(scale, offset, name=name)(x)


def _sum(a, b):
    return (a, 1.0, _constant(b)) if is_tensor(a) else (b, 1.0, _constant(a))


def _difference(a, b):
    if is_tensor(a):
        return a, 1.0, _constant(-np.asarray(_constant(b)))
    return b, -1.0, _constant(a)  # A constant minus a tensor.


def _product(a, b):
    return (a, _constant(b), 0.0) if is_tensor(a) else (b, _constant(a), 0.0)


def _quotient(a, b):
    # A constant divided by a tensor is refused: `_constant` accepts no tensor.
    return a, _constant(1 / np.asarray(_constant(b))), 0.0


def _activation(activation):
    """An operation of `keras.ops` without options."""

    def call(operation, name, x):
        own, compose = counterparts.activation(activation)
        function = compose(name) if compose else layers.Activation(own, name=name)
        return function(x)

    return call


def _reshape(operation, name, x):
    """The same values in another shape; each example keeps its own."""
    # Keras 3 computes the shape: a size of -1, or axes to remove, may be open.
    shape = operation.compute_output_spec(keras.KerasTensor(x.shape, x.dtype.name))
    if shape.shape[0] is not None or None in shape.shape[1:]:
        raise counterparts.Unmatched(
            "tf_keras' Reshape keeps the first axis and knows the others"
        )
    return layers.Reshape(shape.shape[1:], name=name)(x)


def _pool(kinds):
    """A mean or maximum over all axes between the first and the last."""

    def call(operation, name, x):
        rank = len(x.shape)
        axes = operation.axis if operation.axis is not None else ()
        axes = {axis % rank for axis in np.atleast_1d(axes)}
        if rank not in kinds or axes != set(range(1, rank - 1)):
            raise counterparts.Unmatched(
                "tf_keras has no layer that pools these axes alone"
            )
        return kinds[rank](keepdims=operation.keepdims, name=name)(x)

    return call


def _concatenate(operation, name, parts):
    if len(parts) == 1:  # tf_keras cannot clone a `Concatenate` of one tensor.
        return layers.Activation("linear", name=name)(*parts)
    return layers.Concatenate(operation.axis, name=name)(list(parts))


def _permute(axes_of):
    """Axes in another order; the first stays."""

    def call(operation, name, x):
        axes = axes_of(operation, list(range(len(x.shape))))
        if axes[0] != 0:
            raise counterparts.Unmatched("it moves the axis of the examples")
        return layers.Permute(axes[1:], name=name)(x)

    return call


def _transposed_axes(operation, axes):
    return [axes[axis] for axis in operation.axes or axes[::-1]]


def _swapped_axes(operation, axes):
    a, b = axes[operation.axis1], axes[operation.axis2]
    axes[a], axes[b] = b, a
    return axes


def _take(operation, name, x, indices):
    return moves.take(operation, name, x, _constant(indices))


def _elementwise(kind):
    """A layer for two tensors; constants have no counterpart."""

    def call(operation, name, a, b):
        if not (is_tensor(a) and is_tensor(b)):
            raise counterparts.Unmatched("tf_keras has no layer for these operands")
        return kind(name=name)([a, b])

    return call


_ADD = _merge(layers.Add, _sum)
_SUBTRACT = _merge(layers.Subtract, _difference)
_MULTIPLY = _merge(layers.Multiply, _product)
_DIVIDE = _merge(None, _quotient)

# Class of an operation -> a function of the operation, a name and its arguments.
_OPERATIONS: dict[str, Callable] = {
    "Add": _ADD,
    "Subtract": _SUBTRACT,
    "Multiply": _MULTIPLY,
    "Divide": _DIVIDE,
    "TrueDivide": _DIVIDE,
    "Negative": lambda _, name, x: _rescale(name, x, -1.0, 0.0),
    "Identity": lambda _, name, x: layers.Activation("linear", name=name)(x),
    "Relu": _activation("relu"),
    "Relu6": _activation("relu6"),
    "Sigmoid": _activation("sigmoid"),
    "Tanh": _activation("tanh"),
    "Silu": _activation("silu"),
    "HardSigmoid": _activation("hard_sigmoid"),
    "HardSilu": _activation("hard_silu"),
    "Reshape": _reshape,
    "Squeeze": _reshape,
    "ExpandDims": _reshape,
    "Concatenate": _concatenate,
    "GetItem": moves.slice_tensor,
    "Maximum": _elementwise(layers.Maximum),
    "Minimum": _elementwise(layers.Minimum),
    "Split": moves.split,
    "Swapaxes": _permute(_swapped_axes),
    "Take": _take,
    "TopK": lambda operation, name, x: moves.TopK(operation.k, name=name)(x),
    "Transpose": _permute(_transposed_axes),
    "Mean": _pool({3: layers.GlobalAveragePooling1D, 4: layers.GlobalAveragePooling2D}),
    "Max": _pool({3: layers.GlobalMaxPooling1D, 4: layers.GlobalMaxPooling2D}),
}
