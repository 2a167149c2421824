"""Checks that a rewritten network has the same outputs; if not, names the layer."""

import collections
import contextlib
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow_model_optimization.python.core.quantization.keras import quant_ops

from distill.compress.twin import calls
from distill.runtime import errors

TOLERANCE = 1e-4  # Relative to the largest output, or to 1; sums differ in order.


class OutputsDiffer(ValueError):
    """The outputs of a rewritten network differ; the message names the layer."""


def check(model: tf_keras.Model, rewritten: tf_keras.Model, inputs: Any) -> None:
    """Checks that a rewritten network has the outputs of the original.

    Simulated quantization is compared without its rounding.

    Args:
        model: The original, a functional tf_keras model.
        rewritten: The rewritten model; its layers have the names of those of `model`,
            possibly with `quant_` before them.
        inputs: The inputs of both.

    Raises:
        OutputsDiffer: If outputs differ; names the layer and says by how much.
    """
    with _without_rounding():
        expected, actual = (one(inputs, training=False) for one in (model, rewritten))
        flat = tf.nest.flatten(expected), tf.nest.flatten(actual)
        pairs = list(zip(*flat, strict=True))
        if all(_is_close(*pair) for pair in pairs):
            return
        where = _first_difference(model, rewritten, inputs)
    difference, largest = (
        max(float(tf.reduce_max(tf.abs(one))) for one in tensors)
        for tensors in ([a - b for a, b in pairs], [a for a, _ in pairs])
    )
    raise OutputsDiffer(
        f"`{where}`: rewritten for this file, the network's outputs differ from here "
        f"on: largest difference {difference:.3g}, largest output {largest:.3g}"
    )


def require(
    model: tf_keras.Model, rewritten: tf_keras.Model, inputs: Any
) -> tf_keras.Model:
    """Returns a rewritten network if its outputs are the same; see `check`.

    Raises:
        FinishError: If they differ.
    """
    try:
        check(model, rewritten, inputs)
    except OutputsDiffer as mistake:
        raise errors.FinishError(str(mistake)) from None
    return rewritten


def _is_close(expected, actual):
    expected, actual = np.asarray(expected, "float64"), np.asarray(actual, "float64")
    if expected.shape != actual.shape:
        return False
    allowed = TOLERANCE * max(1.0, np.abs(expected).max(initial=0))
    # In this order, a NaN is not close.
    return bool(np.abs(actual - expected).max(initial=0) <= allowed)


def _first_difference(model, rewritten, inputs):
    """The first layer whose outputs differ, as do those of every layer right behind it.

    A kernel that has absorbed the norm or activation behind it differs too, but the
    layer behind that norm or activation does not.
    """
    expected, actual = _layer_outputs(model, inputs), _layer_outputs(rewritten, inputs)
    differing = {
        name
        for name in set(expected) & set(actual)
        if not all(
            _is_close(*pair) for pair in zip(expected[name], actual[name], strict=True)
        )
    }
    followers = collections.defaultdict(set)
    for node in calls.nodes(model):
        for tensor in node.keras_inputs:
            followers[tensor._keras_history.layer.name].add(node.layer.name)
    first = (n for n in expected if n in differing and followers[n] <= differing)
    return next(first, model.name)


def _layer_outputs(model, inputs):
    """Name of each layer to the outputs of its first call."""
    outputs: dict[str, list] = {}

    def call(layer, *args, **options):
        if isinstance(layer, tf_keras.Model):
            return calls.run(layer, args[0], call)
        result = layer(*args, **options)
        outputs.setdefault(layer.name.removeprefix("quant_"), tf.nest.flatten(result))
        return result

    calls.run(model, inputs, call)
    return outputs


@contextlib.contextmanager
def _without_rounding():
    """Replaces the fake quantization of both engines by the identity."""

    def identity(inputs, *args, **options):
        return inputs

    # TF-MOT's op and Keras 3's: neither library has a switch for this.
    with (
        mock.patch.object(quant_ops, "_FakeQuantWithMinMaxVars", identity),
        mock.patch.object(keras.quantizers, "fake_quant_with_min_max_vars", identity),
    ):
        yield
