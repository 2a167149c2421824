"""A Keras 3 model -> its tf_keras twin, for tools that never moved to Keras 3."""

import functools
import itertools
from typing import Any

import keras
import numpy as np
import tf_keras

from distill.compress.twin import counterparts, operations


class NoTwin(ValueError):
    """A layer that tf_keras does not have, or a twin that answers otherwise.

    Attributes:
        layers: Name of each layer without a counterpart to the reason.
    """

    def __init__(self, message: str, layers: dict[str, str] | None = None):
        super().__init__(message)
        self.layers = layers or {}


def to_tf_keras(model: keras.Model, output: str | None = "logits") -> tf_keras.Model:
    """Rebuilds a functional model layer by layer, weights copied.

    Nested models are inlined; their layers take the model's name before their
    own. Layers shared in `model` are shared in the twin. Operations that are no
    layers become layers.

    Args:
        model: A functional Keras 3 model, or a built `Sequential`.
        output: Which output the twin keeps, where `model` returns a dict; None
            keeps them all.

    Returns:
        A functional tf_keras model from the same structure of inputs to the
        same of outputs; regularizers, constraints and initializers are left
        behind.

    Raises:
        NoTwin: If `model` is no functional model, or layers have no twin; names
            every one of them, and why.
    """
    graph = _graph(model)
    if graph is None:
        raise NoTwin(f"`{model.name}` is not a functional model: only those have twins")
    builder = _Builder()
    inputs = [
        tf_keras.Input(given.shape[1:], dtype=given.dtype, name=given.name)
        for given in graph.inputs
    ]
    outputs = graph._run_through_graph(inputs, operation_fn=builder.placer(""))
    builder.check()
    if output is not None and isinstance(outputs, dict):
        outputs = outputs[output]
    given = keras.tree.pack_sequence_as(graph._inputs_struct, inputs)
    twin = tf_keras.Model(given, outputs, name=model.name)
    for layer, parts, _ in builder.made.values():
        weights = iter(layer.get_weights())
        for part in parts:
            try:
                part.set_weights(list(itertools.islice(weights, len(part.weights))))
            except ValueError as mistake:
                reason = f"tf_keras: {counterparts.reason(mistake)}"
                builder.unmatched[f"`{part.name}` ({type(layer).__name__})"] = reason
    builder.check()
    return twin


def check_equal(
    model: keras.Model,
    twin: tf_keras.Model,
    inputs: Any,
    *,
    output: str | None = "logits",
    tolerance: float = 1e-5,
) -> None:
    """Makes sure that a twin answers as its model does.

    Args:
        model: The Keras 3 model.
        twin: Its twin.
        inputs: What both are called with: an array, or a structure of them.
        output: Which output the twin keeps, where `model` returns a dict.
        tolerance: Largest difference allowed, in units of the output or, where
            an output is larger than 1, relative to the largest.

    Raises:
        NoTwin: If they differ by more; says by how much.
    """
    wanted = model(inputs, training=False)
    wanted = wanted[output] if output and isinstance(wanted, dict) else wanted
    answers = keras.tree.flatten(twin(inputs, training=False))
    for one, got in zip(keras.tree.flatten(wanted), answers, strict=True):
        one = keras.ops.convert_to_numpy(one)
        difference = float(np.abs(one - got.numpy()).max())
        if not difference <= tolerance * max(1.0, float(np.abs(one).max())):
            raise NoTwin(
                f"The tf_keras twin of `{model.name}` answers otherwise: largest "
                f"difference {difference:.2g}, allowed {tolerance:.2g}"
            )


def examples(model: keras.Model, count: int, seed: int = 0) -> Any:
    """Made inputs for a model: uniform in [0, 1), or 0 and 1 for whole numbers.

    Args:
        model: A functional Keras 3 model; sizes that it leaves open are 32.
        count: How many.
        seed: Decides them.

    Returns:
        Arrays in the structure of the model's inputs.
    """
    rng = np.random.default_rng(seed)
    graph = _graph(model)

    def made(given):
        values = rng.uniform(size=(count, *(size or 32 for size in given.shape[1:])))
        whole = not keras.backend.is_float_dtype(given.dtype)
        return (values.round() if whole else values).astype(given.dtype)

    arrays = [made(given) for given in graph.inputs]
    return keras.tree.pack_sequence_as(graph._inputs_struct, arrays)


def _graph(model):
    """The functional model behind a model, or None."""
    model = getattr(model, "_functional", None) or model
    return model if hasattr(model, "_run_through_graph") else None


class _Builder:
    """What has been made of a model.

    Attributes:
        made: Identity of each layer to the layer, its counterparts, and a
            function that calls them.
        unmatched: Each layer without a counterpart, as `name` (class), and why.
    """

    def __init__(self):
        self.made: dict[int, tuple] = {}
        self.unmatched: dict[str, str] = {}
        self._names: set[str] = set()

    def check(self):
        """Raises `NoTwin` where a layer has no counterpart."""
        if not self.unmatched:
            return
        listed = "; ".join(f"{name}: {why}" for name, why in self.unmatched.items())
        raise NoTwin(
            f"These layers have no twin in tf_keras: {listed}. Replace them by "
            "standard layers",
            self.unmatched,
        )

    def placer(self, prefix):
        """A function from a layer or operation to what stands for it."""

        def place(operation):
            if isinstance(operation, keras.Model):
                graph = _graph(operation)
                if graph is None:
                    reason = "it is not a functional model"
                    return functools.partial(self._refuse, operation, prefix, reason)
                inside = self.placer(f"{prefix}{operation.name}_")
                return lambda given, **_: graph._run_through_graph(given, inside)
            if isinstance(operation, keras.layers.Identity):
                return lambda given, **_: given
            return functools.partial(self._call, operation, prefix)

        return place

    def _call(self, operation, prefix, *given, **options):
        try:
            if isinstance(operation, keras.layers.Layer):
                # Without options that are None: a counterpart may not know them.
                known = {key: val for key, val in options.items() if val is not None}
                return self._layer(operation, prefix)(*given, **known)
            placed = operations.of_operation(operation)
            return placed(self._name(operation, prefix), *given, **options)
        except Exception as why:  # tf_keras raises what it likes.
            known = isinstance(why, counterparts.Unmatched)
            reason = f"{'' if known else 'tf_keras: '}{counterparts.reason(why)}"
            return self._refuse(operation, prefix, reason)

    def _layer(self, layer, prefix):
        """Makes a counterpart once: what is shared stays so."""
        if id(layer) not in self.made:
            name = self._name(layer, prefix)
            self.made[id(layer)] = (layer, *counterparts.of_layer(layer, name))
        return self.made[id(layer)][2]

    def _name(self, operation, prefix):
        """A free one: two nested models may have layers of one name."""
        wanted = name = prefix + operation.name.removeprefix(prefix)
        number = 1
        while name in self._names:
            name, number = f"{wanted}_{number}", number + 1
        self._names.add(name)
        return name

    def _refuse(self, operation, prefix, reason, *_, **__):
        """Notes the reason, and goes on with new inputs in the output's place."""
        name = prefix + operation.name.removeprefix(prefix)
        self.unmatched[f"`{name}` ({type(operation).__name__})"] = reason
        return keras.tree.map_structure(
            lambda out: tf_keras.Input(out.shape[1:], dtype=out.dtype),
            operation.output,
        )
