"""A Keras 3 network -> every call in it, with the sizes that this call sees."""

import dataclasses
from typing import Any

Shape = tuple[int | None, ...]


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer or operation.

    Attributes:
        layer: What is called.
        given: Shapes of all tensors that it is called with, in order, batch first;
            an open size is None.
        made: Shape of what it makes, of several the first.
    """

    layer: Any
    given: tuple[Shape, ...]
    made: Shape


def find(network: Any) -> list[Call]:
    """All calls of a functional model in order, those of nested models in place.

    Args:
        network: A functional `keras.Model`, or a built `Sequential`. A model of
            another kind is one call, as if it were a layer.
    """
    import keras

    found: list[Call] = []

    def place(operation):
        inside = _graph(operation)
        if inside is not None:
            return lambda given, **_: inside._run_through_graph(given, place)

        def call(*args, **options):
            made = operation.compute_output_spec(*args, **options)
            first, *_ = _shapes(made)
            found.append(Call(operation, _shapes((args, options)), first))
            return made

        return call

    def _shapes(values):
        flat = keras.tree.flatten(values)
        return tuple(tuple(one.shape) for one in flat if hasattr(one, "shape"))

    graph = _graph(network)
    inputs = [keras.KerasTensor(one.shape, one.dtype) for one in network.inputs]
    if graph is None:
        place(network)(*inputs)
    else:
        graph._run_through_graph(inputs, place)
    return found


def _graph(operation):
    """The functional model that this is, or None."""
    model = getattr(operation, "_functional", None) or operation
    return model if hasattr(model, "_run_through_graph") else None
