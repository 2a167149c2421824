"""Converts a Keras 3 model to its tf_keras twin, for tools that need Keras 2."""

import functools
import itertools
from typing import Any

import keras
import numpy as np
import tf_keras

from distill.compress.twin import counterparts, operations


class NoTwin(ValueError):
    """A layer without a counterpart in tf_keras, or a twin with other outputs.

    Attributes:
        layers: Name and class of each layer without a counterpart to the reason.
    """

    def __init__(self, message: str, layers: dict[str, str] | None = None):
        super().__init__(message)
        self.layers = layers or {}


def to_tf_keras(model: keras.Model, output: str | None = "logits") -> tf_keras.Model:
    """Rebuilds a functional model layer by layer, and copies its weights.

    Nested models are inlined: the model's name is put before those of its layers.
    Layers shared in `model` are shared in the twin. Operations that are not layers
    become layers.

    Args:
        model: A functional Keras 3 model, or a built `Sequential`.
        output: The output that the twin keeps if `model` returns a dict; None keeps
            all.

    Returns:
        A functional tf_keras model with the same structures of inputs and outputs,
        without regularizers, constraints and initializers.

    Raises:
        NoTwin: If `model` is not functional, or layers have no counterpart; names
            every such layer and the reason.
    """
    graph = _graph(model)
    if graph is None:
        raise NoTwin(f"`{model.name}` is not a functional model: only those have twins")
    builder = _Builder()
    inputs = [
        tf_keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=tensor.name)
        for tensor in graph.inputs
    ]
    # Keras 3's own traversal, with counterparts in place of its operations.
    outputs = graph._run_through_graph(inputs, operation_fn=builder.converter(""))
    builder.check()
    if output is not None and isinstance(outputs, dict):
        outputs = outputs[output]
    inputs = keras.tree.pack_sequence_as(graph._inputs_struct, inputs)
    twin = tf_keras.Model(inputs, outputs, name=model.name)
    # A separable convolution has two parts, which take its weights in order.
    for layer, parts, _ in builder.counterparts.values():
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
    """Checks that a twin has the outputs of its model.

    Args:
        model: The Keras 3 model.
        twin: Its twin.
        inputs: The inputs of both: an array, or a structure of arrays.
        output: The output that the twin keeps if `model` returns a dict.
        tolerance: Largest allowed difference, relative to the largest output, or to 1
            if that is smaller.

    Raises:
        NoTwin: If they differ by more; says by how much.
    """
    expected = model(inputs, training=False)
    expected = expected[output] if output and isinstance(expected, dict) else expected
    outputs = keras.tree.flatten(twin(inputs, training=False))
    for one, actual in zip(keras.tree.flatten(expected), outputs, strict=True):
        one = keras.ops.convert_to_numpy(one)
        difference = float(np.abs(one - actual.numpy()).max())
        # Not `>`: a NaN must be refused.
        if not difference <= tolerance * max(1.0, float(np.abs(one).max())):
            raise NoTwin(
                f"The tf_keras twin of `{model.name}` gives other outputs: largest "
                f"difference {difference:.2g}, allowed {tolerance:.2g}"
            )


def random_inputs(model: keras.Model, count: int, seed: int = 0) -> Any:
    """Random inputs for a model: uniform in [0, 1), or 0 and 1 for integer inputs.

    Args:
        model: A functional Keras 3 model; sizes that it leaves open are 32.
        count: Number of examples.
        seed: The seed.

    Returns:
        Arrays in the structure of the model's inputs.
    """
    rng = np.random.default_rng(seed)
    graph = _graph(model)

    def draw(tensor):
        values = rng.uniform(size=(count, *(size or 32 for size in tensor.shape[1:])))
        whole = not keras.backend.is_float_dtype(tensor.dtype)
        return (values.round() if whole else values).astype(tensor.dtype)

    arrays = [draw(tensor) for tensor in graph.inputs]
    return keras.tree.pack_sequence_as(graph._inputs_struct, arrays)


def _graph(model):
    """The functional model behind a model, as of a `Sequential`; None without one."""
    model = getattr(model, "_functional", None) or model
    return model if hasattr(model, "_run_through_graph") else None


class _Builder:
    """Collects the counterparts of a model's layers.

    Attributes:
        counterparts: `id` of each layer to the layer, its counterparts, and a function
            that calls them.
        unmatched: Each layer without a counterpart, as `name` (class), to the reason.
    """

    def __init__(self):
        self.counterparts: dict[int, tuple] = {}
        self.unmatched: dict[str, str] = {}
        self._names: set[str] = set()

    def check(self):
        """Raises `NoTwin` if a layer has no counterpart."""
        if not self.unmatched:
            return
        listed = "; ".join(f"{name}: {why}" for name, why in self.unmatched.items())
        raise NoTwin(
            f"These layers have no twin in tf_keras: {listed}. Replace them by "
            "standard layers",
            self.unmatched,
        )

    def converter(self, prefix):
        """A function from a layer or operation to a function that replaces it."""

        def convert(operation):
            if isinstance(operation, keras.Model):
                graph = _graph(operation)
                if graph is None:
                    reason = "it is not a functional model"
                    return functools.partial(self._refuse, operation, prefix, reason)
                inner = self.converter(f"{prefix}{operation.name}_")
                return lambda inputs, **_: graph._run_through_graph(inputs, inner)
            if isinstance(operation, keras.layers.Identity):
                return lambda inputs, **_: inputs
            return functools.partial(self._call, operation, prefix)

        return convert

    def _call(self, operation, prefix, *args, **options):
        try:
            if isinstance(operation, keras.layers.Layer):
                # Options that are None are left out: tf_keras may not have them.
                known = {key: val for key, val in options.items() if val is not None}
                return self._layer(operation, prefix)(*args, **known)
            replacement = operations.of_operation(operation)
            return replacement(self._name(operation, prefix), *args, **options)
        except Exception as error:  # tf_keras raises errors of any class.
            known = isinstance(error, counterparts.Unmatched)
            reason = f"{'' if known else 'tf_keras: '}{counterparts.reason(error)}"
            return self._refuse(operation, prefix, reason)

    def _layer(self, layer, prefix):
        """Makes a layer's counterpart once, so that shared layers stay shared."""
        if id(layer) not in self.counterparts:
            name = self._name(layer, prefix)
            self.counterparts[id(layer)] = (layer, *counterparts.of_layer(layer, name))
        return self.counterparts[id(layer)][2]

    def _name(self, operation, prefix):
        """A unique name: two nested models may have layers with the same name."""
        wanted = name = prefix + operation.name.removeprefix(prefix)
        number = 1
        while name in self._names:
            name, number = f"{wanted}_{number}", number + 1
        self._names.add(name)
        return name

    def _refuse(self, operation, prefix, reason, *_, **__):
        """Records the reason, and returns new inputs in place of the outputs.

        Rebuilding continues, so that one error names every layer in the way.
        """
        name = prefix + operation.name.removeprefix(prefix)
        self.unmatched[f"`{name}` ({type(operation).__name__})"] = reason
        return keras.tree.map_structure(
            lambda out: tf_keras.Input(out.shape[1:], dtype=out.dtype),
            operation.output,
        )
