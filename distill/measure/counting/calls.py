"""Finds every call of a layer in a Keras 3 network, with its shapes."""

import dataclasses
from typing import Any

Shape = tuple[int | None, ...]


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer or operation.

    Attributes:
        layer: The layer or operation.
        inputs: Shapes of all tensors among its arguments, in order, batch first; an
            open size is None.
        output: Shape of its output; the first if there are several.
    """

    layer: Any
    inputs: tuple[Shape, ...]
    output: Shape


def find(network: Any) -> list[Call]:
    """All calls of a functional model in order, including those of nested models.

    Args:
        network: A functional `keras.Model`, or a built `Sequential`. A model of
            another kind is one call, as if it were a layer.
    """
    import keras

    layer_calls: list[Call] = []

    # Symbolic tensors run through the graph again: a layer's own attributes have the
    # shapes of its first call alone.
    def record(operation):
        nested = _graph(operation)
        if nested is not None:
            return lambda inputs, **_: nested._run_through_graph(inputs, record)

        def call(*args, **options):
            outputs = operation.compute_output_spec(*args, **options)
            first, *_ = _shapes(outputs)
            layer_calls.append(Call(operation, _shapes((args, options)), first))
            return outputs

        return call

    def _shapes(values):
        flat = keras.tree.flatten(values)
        return tuple(tuple(one.shape) for one in flat if hasattr(one, "shape"))

    graph = _graph(network)
    inputs = [keras.KerasTensor(one.shape, one.dtype) for one in network.inputs]
    if graph is None:
        record(network)(*inputs)
    else:
        graph._run_through_graph(inputs, record)
    return layer_calls


def _graph(operation):
    """The functional model behind a model, as of a `Sequential`; None without one."""
    model = getattr(operation, "_functional", None) or operation
    return model if hasattr(model, "_run_through_graph") else None
