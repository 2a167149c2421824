"""Kernels that train on few levels: rounded in every step, with their own variables."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from distill.compress.finishers import coded

layers = tf_keras.layers
# Their kernels are `(..., out, in)`, all others `(..., in, out)`.
TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose)
# Layers that multiply by one `kernel`; a depthwise one is small.
KINDS = tuple(getattr(layers, name) for name in coded.KINDS)


class Levels(layers.Layer):
    """Rounds the weights of one kernel to its levels.

    A subclass creates its variables in `__init__`, from the kernel's first values, and
    implements `call`: weights of any shape to rounded weights, whose gradient reaches
    both the weights ("straight through") and the variables.
    """


def straight_through(values: tf.Tensor, rounded: tf.Tensor) -> tf.Tensor:
    """The rounded values, with the gradient of those before rounding.

    Source:
        Bengio et al., "Estimating or Propagating Gradients Through Stochastic
        Neurons for Conditional Computation", 2013.
    """
    return values + tf.stop_gradient(rounded - values)


class Levelled(layers.Wrapper):
    """A layer whose kernel is rounded to levels whenever it computes.

    Args:
        layer: The layer, with the options of the twin's.
        levels: What rounds its kernel.
        **options: Options of every layer.
    """

    def __init__(self, layer: layers.Layer, levels: Levels, **options: Any):
        super().__init__(layer, **options)
        self.levels = levels

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, training=None):
        """The outputs of the layer with its rounded kernel."""
        with _replaced_kernel(self.layer, self.levels(self.layer.kernel)):
            return self.layer(inputs)


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel that trains on levels.

    Attributes:
        layer: The layer that owns it.
        levels: What rounds it.
    """

    layer: layers.Layer
    levels: Levels

    @property
    def variable(self) -> tf.Variable:
        """The kernel before rounding."""
        return self.layer.kernel

    @property
    def rounded(self) -> tf.Tensor:
        """The kernel on its levels, as the network computes with it."""
        return self.levels(self.variable)


def wrap(
    model: tf_keras.Model, choose: Callable[[layers.Layer], Levels | None]
) -> tf_keras.Model:
    """A copy of a model whose kernels train on levels.

    Args:
        model: A functional tf_keras model without nested models.
        choose: A function from a layer of `KINDS` to the levels of its kernel; None
            leaves the layer as it is.

    Returns:
        The copy; its variables include those of the levels.
    """

    def clone(layer):
        copy = type(layer).from_config(layer.get_config())
        levels = choose(layer) if isinstance(layer, KINDS) else None
        if levels is None:
            return copy
        return Levelled(copy, levels, name=f"levels_{layer.name}")

    copy = tf_keras.models.clone_model(model, clone_function=clone)
    for old, new in zip(model.layers, copy.layers, strict=True):
        new = new.layer if isinstance(new, Levelled) else new
        new.set_weights(old.get_weights())
    return copy


def unwrap(model: tf_keras.Model) -> tf_keras.Model:
    """A model of `wrap` without its levels; its kernels have the rounded values."""

    def clone(layer):
        layer = layer.layer if isinstance(layer, Levelled) else layer
        return type(layer).from_config(layer.get_config())

    copy = tf_keras.models.clone_model(model, clone_function=clone)
    for old, new in zip(model.layers, copy.layers, strict=True):
        if isinstance(old, Levelled):
            new.set_weights(old.layer.get_weights())
            new.kernel.assign(old.levels(old.layer.kernel))
        else:
            new.set_weights(old.get_weights())
    return copy


def find(model: tf_keras.Model) -> list[Kernel]:
    """The kernels of a model that train on levels, in the order of its layers.

    Args:
        model: A model of `wrap` or of `simulation.simulate`, in which several layers
            may share a kernel.
    """
    found = {
        id(layer.layer): Kernel(layer.layer, layer.levels)
        for layer in _flatten(model)
        if isinstance(getattr(layer, "levels", None), Levels)
    }
    return list(found.values())


def _flatten(model):
    """The layers of a model and of those nested in it, in order."""
    for layer in model.layers:
        nested = isinstance(layer, tf_keras.Model)
        yield from _flatten(layer) if nested else [layer]


@contextlib.contextmanager
def _replaced_kernel(layer: layers.Layer, kernel: tf.Tensor) -> Iterator[None]:
    """Lets a layer compute with a tensor in place of its kernel."""
    # Not `layer.kernel = kernel`: Keras would no longer track the variable.
    variable = layer.kernel
    vars(layer)["kernel"] = kernel
    try:
        yield
    finally:
        vars(layer)["kernel"] = variable


def channels_first(kernel: Kernel, codes: np.ndarray) -> np.ndarray:
    """Codes in a kernel's shape, with output channels first, as in a file."""
    axis = -2 if isinstance(kernel.layer, TRANSPOSED) else -1
    return np.moveaxis(codes, axis, 0)
