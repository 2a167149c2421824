"""Any functional Keras model -> one without models inside, from examples to logits."""

from __future__ import annotations

import itertools
import typing
from typing import Any

if typing.TYPE_CHECKING:
    import keras


def flatten(
    network: keras.Model, input_shape: tuple[int, ...], dtype: str | None = None
) -> keras.Model:
    """The same layers with the same weights, without models inside the model.

    Args:
        network: A functional or sequential model of one input, which returns one
            tensor or a dict with `"logits"`.
        input_shape: Of one example.
        dtype: Of the inputs; None leaves it as the network has it.

    Returns:
        A functional model of one tensor: logits, also where `network` ends in a
        softmax. It shares its layers with `network`, but for a last dense layer
        with a softmax, whose place a copy without it takes. A layer that does
        nothing drops out; one whose name another has too is renamed, in `network`
        as well, to that of the model that it stands in and its own.

    Raises:
        ValueError: Says what is in the way, and where.
    """
    import keras

    images, outputs = inlined(network, input_shape, dtype)
    if isinstance(outputs, dict) and "logits" in outputs:
        outputs = outputs["logits"]
    if not isinstance(outputs, keras.KerasTensor):
        raise ValueError(
            "must return one tensor, or a dict with `logits`. Received: "
            f"{len(network.outputs)} outputs"
        )
    return keras.Model(images, _logits(outputs), name=network.name)


def inlined(
    network: keras.Model, input_shape: tuple[int, ...], dtype: str | None = None
) -> tuple[keras.KerasTensor, Any]:
    """Calls the layers of a model, and of the models inside it, on a new input.

    Args:
        network: As in `flatten`, of whatever outputs.
        input_shape: Of one example; sizes that the model leaves open are set by it.
        dtype: Of the input; None leaves it as the network has it.

    Returns:
        The input, named `images`, and all outputs.

    Raises:
        ValueError: Says what is in the way, and where.
    """
    import keras

    graph = _functional(network)
    if len(graph.inputs) != 1:
        names = ", ".join(tensor.name for tensor in graph.inputs)
        raise ValueError(f"must take one input. Received: {len(graph.inputs)}, {names}")
    wanted = tuple(graph.inputs[0].shape[1:])
    fits = len(wanted) == len(input_shape) and all(
        size in (None, given) for size, given in zip(wanted, input_shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"must take inputs of shape {tuple(input_shape)}. Received: a network of "
            f"{wanted}"
        )
    given = graph.inputs[0].dtype
    if given == "string":
        raise ValueError(
            "must take numbers. Received: a network of strings: leave its "
            "`TextVectorization` out, for the data's tokenizer makes the ids"
        )
    images = keras.Input(input_shape, dtype=dtype or given, name="images")
    place = _Inliner().placer(network.name)
    try:
        # Keras has no public way to call a graph with other operations.
        return images, graph._run_through_graph(images, operation_fn=place)
    except ValueError as error:
        # Keras adds the shapes of all arguments, in many lines.
        raise ValueError(str(error).splitlines()[0]) from None


def decay(network: keras.Model, weight_decay: float) -> None:
    """Puts an L2 penalty on every kernel of a flat model that has none."""
    import keras

    for layer, kind in itertools.product(
        network.layers, ("kernel", "depthwise", "pointwise")
    ):
        slot = f"{kind}_regularizer"
        if not weight_decay or getattr(layer, slot, 0) is not None:
            continue
        name = "kernel" if hasattr(layer, "kernel") else f"{kind}_kernel"
        # On the layer, for its config, and on the variable, from which Keras computes
        # the penalty.
        setattr(layer, slot, keras.regularizers.L2(weight_decay))
        getattr(layer, name).regularizer = getattr(layer, slot)


def _functional(network):
    """The functional model that a model is, or that stands in a sequential one."""
    # A sequential model keeps a functional one; a subclass of `Model` has no graph.
    graph = getattr(network, "_functional", network)
    if not hasattr(graph, "_run_through_graph"):
        raise ValueError(f"must be functional. Received: {type(network).__name__}")
    return graph


class _Inliner:
    """Takes layers out of models, at every depth, and gives each a name of its own."""

    def __init__(self):
        self._named = {"images": 0}

    def placer(self, inside: str):
        """A function from an operation, in a model of that name, to what is called."""
        import keras

        def place(operation):
            if isinstance(operation, keras.Model):
                graph, deeper = _functional(operation), self.placer(operation.name)
                return lambda x, **_: graph._run_through_graph(x, operation_fn=deeper)
            if isinstance(operation, keras.layers.Identity):
                return lambda x, **_: x
            self._name(operation, inside)
            return operation

        return place

    def _name(self, operation, inside):
        """The name that it has, where no other operation has it."""
        names = itertools.chain(
            [operation.name, f"{inside}_{operation.name}"],
            (f"{inside}_{operation.name}_{number}" for number in itertools.count(1)),
        )
        operation.name = next(
            name
            for name in names
            if self._named.setdefault(name, id(operation)) == id(operation)
        )


def _logits(output):
    """What a last softmax is given; what ends otherwise, as it is."""
    import keras

    layer, index, _ = output._keras_history
    (given, *_) = layer._inbound_nodes[index].input_tensors
    activation = getattr(layer, "activation", None)
    kind = getattr(activation, "__name__", "linear")
    if isinstance(layer, keras.layers.Softmax):
        return given
    if kind == "linear":
        return output
    if kind != "softmax":
        raise ValueError(
            f"must end in logits or a softmax. Received: {layer.name}, which ends in "
            f"{kind}: set its `activation` to `keras.activations.linear`, and save it"
        )
    if isinstance(layer, keras.layers.Activation):
        return given
    # A copy: to take the softmax off the layer itself would change the caller's model.
    bare = type(layer).from_config({**layer.get_config(), "activation": "linear"})
    made = bare(given)
    bare.set_weights(layer.get_weights())
    return made
