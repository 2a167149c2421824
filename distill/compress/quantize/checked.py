"""Whether a network that was written anew answers as before; if not, from where on."""

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

TOLERANCE = 1e-4  # Of the largest answer, or of 1: sums come in another order.


class Otherwise(ValueError):
    """A network that was written anew answers otherwise; names the layer."""


def check(model: tf_keras.Model, written: tf_keras.Model, inputs: Any) -> None:
    """Makes sure that a network answers as the one that it was made of.

    What simulates eight bits is asked without its rounding.

    Args:
        model: A functional tf_keras model.
        written: What has become of it; its layers have the names of those of
            `model`, or `quant_` before them.
        inputs: What both are called with.

    Raises:
        Otherwise: If they differ; names the layer and says by how much.
    """
    with _unrounded():
        wanted, got = (one(inputs, training=False) for one in (model, written))
        pairs = list(zip(tf.nest.flatten(wanted), tf.nest.flatten(got), strict=True))
        if all(_same(*pair) for pair in pairs):
            return
        where = _where(model, written, inputs)
    difference, most = (
        max(float(tf.reduce_max(tf.abs(one))) for one in many)
        for many in ([a - b for a, b in pairs], [a for a, _ in pairs])
    )
    raise Otherwise(
        f"`{where}`: written anew for this file, the network answers otherwise from "
        f"here on: largest difference {difference:.3g}, largest answer {most:.3g}"
    )


def checked(
    model: tf_keras.Model, written: tf_keras.Model, inputs: Any
) -> tf_keras.Model:
    """What was written anew, if `check` finds that it answers as before.

    Raises:
        FinishError: If it does not.
    """
    try:
        check(model, written, inputs)
    except Otherwise as mistake:
        raise errors.FinishError(str(mistake)) from None
    return written


def _same(wanted, got):
    wanted, got = np.asarray(wanted, "float64"), np.asarray(got, "float64")
    if wanted.shape != got.shape:
        return False
    allowed = TOLERANCE * max(1.0, np.abs(wanted).max(initial=0))
    return bool(np.abs(got - wanted).max(initial=0) <= allowed)  # NaN is not.


def _where(model, written, inputs):
    """The first layer that answers otherwise, and whose answer nobody puts right.

    A kernel that has taken in what was behind it does answer otherwise.
    """
    wanted, got = _answers(model, inputs), _answers(written, inputs)
    wrong = {
        name
        for name in set(wanted) & set(got)
        if not all(_same(*pair) for pair in zip(wanted[name], got[name], strict=True))
    }
    heard = collections.defaultdict(set)
    for node in calls.nodes(model):
        for given in node.keras_inputs:
            heard[given._keras_history.layer.name].add(node.layer.name)
    found = (name for name in wanted if name in wrong and heard[name] <= wrong)
    return next(found, model.name)


def _answers(model, inputs):
    """Name of each layer to what it makes at its first call."""
    found: dict[str, list] = {}

    def call(layer, *args, **options):
        if isinstance(layer, tf_keras.Model):
            return calls.run(layer, args[0], call)
        made = layer(*args, **options)
        found.setdefault(layer.name.removeprefix("quant_"), tf.nest.flatten(made))
        return made

    calls.run(model, inputs, call)
    return found


@contextlib.contextmanager
def _unrounded():
    """Neither engine rounds anything while this lasts."""

    def same(inputs, *args, **options):
        return inputs

    with (
        mock.patch.object(quant_ops, "_FakeQuantWithMinMaxVars", same),
        mock.patch.object(keras.quantizers, "fake_quant_with_min_max_vars", same),
    ):
        yield
