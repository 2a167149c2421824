"""A Keras 3 model -> its tf_keras twin, for tools that never moved to Keras 3."""

import functools
import inspect

import keras
import numpy as np
import tensorflow as tf
import tf_keras


class NoTwin(ValueError):
    """A layer that tf_keras does not have, or a twin that answers otherwise."""


class TopK(tf_keras.layers.Layer):
    """The twin of `keras.ops.top_k`: the largest values of the last axis, and where.

    Args:
        k: How many, the largest first.
        **options: Of every layer.
    """

    def __init__(self, k: int, **options):
        super().__init__(**options)
        self.k = k

    def call(self, inputs):
        """Values and places, `(..., k)` each."""
        return tf.math.top_k(inputs, self.k)

    def get_config(self):
        """What makes the same layer again."""
        return {**super().get_config(), "k": self.k}

    def get_prunable_weights(self):
        """None: TF-MOT asks each layer that it does not know."""
        return []


_OPERATIONS = {"TopK": TopK}  # What is no layer in Keras 3.


def to_tf_keras(model: keras.Model, output: str = "logits") -> tf_keras.Model:
    """Rebuilds a functional model layer by layer, weights copied.

    Nested models are inlined; their layers take the model's name before their
    own. Layers shared in `model` are shared in the twin.

    Args:
        model: A functional Keras 3 model with one input.
        output: Which output the twin keeps, where `model` returns a dict.

    Returns:
        A functional tf_keras model of one output; regularizers, constraints
        and initializers are left behind.

    Raises:
        NoTwin: If `model` is no functional model, or a layer has no twin.
    """
    if not hasattr(model, "_run_through_graph"):
        raise NoTwin(f"`{model.name}` is not a functional model: only those have twins")
    made: dict[int, tuple] = {}
    given = model.inputs[0]
    inputs = tf_keras.Input(given.shape[1:], dtype=given.dtype, name=given.name)
    outputs = model._run_through_graph(inputs, operation_fn=_placer("", made))
    if isinstance(outputs, dict):
        outputs = outputs[output]
    twin = tf_keras.Model(inputs, outputs, name=model.name)
    for layer, copy in made.values():
        if copy.weights:
            copy.set_weights(layer.get_weights())
    return twin


def check_equal(
    model: keras.Model,
    twin: tf_keras.Model,
    inputs: np.ndarray,
    *,
    output: str = "logits",
    tolerance: float = 1e-5,
) -> None:
    """Makes sure that a twin answers as its model does.

    Args:
        model: The Keras 3 model.
        twin: Its twin.
        inputs: Real ones, `(n, ...)`.
        output: Which output the twin keeps, where `model` returns a dict.
        tolerance: Largest difference allowed, in units of the output or, where
            an output is larger than 1, relative to the largest.

    Raises:
        NoTwin: If they differ by more; says by how much.
    """
    wanted = model(inputs, training=False)
    wanted = wanted[output] if isinstance(wanted, dict) else wanted
    wanted = keras.ops.convert_to_numpy(wanted)
    got = twin(inputs, training=False).numpy()
    difference = float(np.abs(wanted - got).max())
    if not difference <= tolerance * max(1.0, float(np.abs(wanted).max())):
        raise NoTwin(
            f"The tf_keras twin of `{model.name}` answers otherwise: largest "
            f"difference {difference:.2g}, allowed {tolerance:.2g}"
        )


def _placer(prefix, made):
    """A function from a layer to its twin; remembers each in `made` by identity."""

    def place(layer):
        if isinstance(layer, keras.Model):
            inside = _placer(f"{prefix}{layer.name}_", made)
            return lambda x, **_: layer._run_through_graph(x, operation_fn=inside)
        if id(layer) not in made:
            name = layer.name.removeprefix(prefix)
            made[id(layer)] = (layer, _twin_layer(layer, prefix + name))
        return functools.partial(_call, made[id(layer)][1])

    return place


def _call(layer, *inputs, **options):
    """Without options that are None: another layer in its place may not know them."""
    given = {key: value for key, value in options.items() if value is not None}
    return layer(*inputs, **given)


def _twin_layer(layer, name):
    """The tf_keras layer of the same class and options."""
    called = type(layer).__name__
    kind = getattr(tf_keras.layers, called, _OPERATIONS.get(called))
    if kind is None or not type(layer).__module__.startswith("keras."):
        raise NoTwin(
            f"Layer `{name}` ({called}) has no twin in tf_keras: "
            "replace it by a standard layer"
        )
    known = set(inspect.signature(kind.__init__).parameters)
    left_behind = ("initializer", "regularizer", "constraint", "dtype", "name")
    options = {
        key: value
        for key, value in layer.get_config().items()
        if key in known and not key.endswith(left_behind)
    }
    return kind(**options, name=name)
