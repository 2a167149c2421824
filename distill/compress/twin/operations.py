"""A Keras 3 operation that is no layer -> layers of tf_keras that compute the same."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tf_keras

from distill.compress.twin import counterparts, moves

layers = tf_keras.layers


def of_operation(operation) -> Callable[..., Any]:
    """What stands for an operation that is no layer.

    Args:
        operation: Of a functional Keras 3 model, such as `keras.ops.add` made it.

    Returns:
        A function from a name and the operation's arguments, tf_keras tensors or
        constants, to a tf_keras tensor. It raises `counterparts.Unmatched` where
        tf_keras has no layer for such arguments.

    Raises:
        counterparts.Unmatched: If there is none.
    """
    kind = type(operation).__name__
    if kind in _OPERATIONS and type(operation).__module__.startswith("keras."):
        return functools.partial(_OPERATIONS[kind], operation)
    raise counterparts.Unmatched("tf_keras has no layer for this operation")


def is_tensor(value) -> bool:
    """Whether this is a symbolic tensor of tf_keras."""
    return isinstance(value, tf_keras.__internal__.KerasTensor)


def _constant(value):
    """A number or a list of them: what a layer's config can hold."""
    if is_tensor(value):
        raise counterparts.Unmatched("tf_keras has no layer for these operands")
    array = np.asarray(keras.ops.convert_to_numpy(value), float)
    return array.item() if array.size == 1 else array.tolist()


def _merge(kind, scale_and_offset):
    """Of two tensors a layer; of a tensor and a constant, `Rescaling`."""

    def place(operation, name, a, b):
        if is_tensor(a) and is_tensor(b):
            if kind is None:
                raise counterparts.Unmatched(
                    "tf_keras has no layer for two tensors here"
                )
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
        known, behind = counterparts.activation(activation)
        made = behind(name) if behind else layers.Activation(known, name=name)
        return made(x)

    return place


def _shaped(operation, name, x):
    """The same numbers in another shape: every example keeps its own."""
    shape = operation.compute_output_spec(keras.KerasTensor(x.shape, x.dtype.name))
    if shape.shape[0] is not None or None in shape.shape[1:]:
        raise counterparts.Unmatched(
            "tf_keras' Reshape keeps the first axis and knows the others"
        )
    return layers.Reshape(shape.shape[1:], name=name)(x)


def _pooled(kinds):
    """A mean or a maximum over all that is between the first and the last axis."""

    def place(operation, name, x):
        rank = len(x.shape)
        axes = operation.axis if operation.axis is not None else ()
        axes = {axis % rank for axis in np.atleast_1d(axes)}
        if rank not in kinds or axes != set(range(1, rank - 1)):
            raise counterparts.Unmatched(
                "tf_keras has no layer that pools these axes alone"
            )
        return kinds[rank](keepdims=operation.keepdims, name=name)(x)

    return place


def _joined(operation, name, parts):
    if len(parts) == 1:  # Which tf_keras cannot copy.
        return layers.Activation("linear", name=name)(*parts)
    return layers.Concatenate(operation.axis, name=name)(list(parts))


def _turned(axes_of):
    """Axes in another order, the first of which stays."""

    def place(operation, name, x):
        axes = axes_of(operation, list(range(len(x.shape))))
        if axes[0] != 0:
            raise counterparts.Unmatched("it moves the axis of the examples")
        return layers.Permute(axes[1:], name=name)(x)

    return place


def _transposed(operation, axes):
    return [axes[axis] for axis in operation.axes or axes[::-1]]


def _swapped(operation, axes):
    a, b = axes[operation.axis1], axes[operation.axis2]
    axes[a], axes[b] = b, a
    return axes


def _taken(operation, name, x, indices):
    return moves.taken(operation, name, x, _constant(indices))


def _largest(kind):
    """Of two tensors, the larger or the smaller value."""

    def place(operation, name, a, b):
        if not (is_tensor(a) and is_tensor(b)):
            raise counterparts.Unmatched("tf_keras has no layer for these operands")
        return kind(name=name)([a, b])

    return place


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
    "GetItem": moves.sliced,
    "Maximum": _largest(layers.Maximum),
    "Minimum": _largest(layers.Minimum),
    "Split": moves.split,
    "Swapaxes": _turned(_swapped),
    "Take": _taken,
    "TopK": lambda operation, name, x: moves.TopK(operation.k, name=name)(x),
    "Transpose": _turned(_transposed),
    "Mean": _pooled(
        {3: layers.GlobalAveragePooling1D, 4: layers.GlobalAveragePooling2D}
    ),
    "Max": _pooled({3: layers.GlobalMaxPooling1D, 4: layers.GlobalMaxPooling2D}),
}
