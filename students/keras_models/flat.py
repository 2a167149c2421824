"""Converts a functional Keras model to one without nested models, up to the logits."""

from __future__ import annotations

import itertools
import typing
from typing import Any

if typing.TYPE_CHECKING:
    import keras


def flatten(
    network: keras.Model, input_shape: tuple[int, ...], dtype: str | None = None
) -> keras.Model:
    """Inlines nested models; layers and weights stay the same.

    Args:
        network: A functional or sequential model of one input, which returns one
            tensor or a dict with `"logits"`.
        input_shape: Shape of one example.
        dtype: Type of the inputs; None keeps the network's.

    Returns:
        A functional model with one output, the logits, also if `network` ends in a
        softmax. It shares its layers with `network`, except for a last dense layer
        with a softmax, which is replaced by a copy without it. `Identity` layers are
        removed. If several layers have the same name, the name of the model that
        contains them is put before it, in `network` too.

    Raises:
        ValueError: If the model cannot be converted; the message says why.
    """
    import keras

    images, outputs = inline(network, input_shape, dtype)
    if isinstance(outputs, dict) and "logits" in outputs:
        outputs = outputs["logits"]
    if not isinstance(outputs, keras.KerasTensor):
        raise ValueError(
            "must return one tensor, or a dict with `logits`. Received: "
            f"{len(network.outputs)} outputs"
        )
    return keras.Model(images, _logits(outputs), name=network.name)


def inline(
    network: keras.Model, input_shape: tuple[int, ...], dtype: str | None = None
) -> tuple[keras.KerasTensor, Any]:
    """Calls the layers of a model, and of the models inside it, on a new input.

    Args:
        network: As in `flatten`, with any outputs.
        input_shape: Shape of one example; sets sizes that the model leaves open.
        dtype: Type of the input; None keeps the network's.

    Returns:
        The input, named `images`, and all outputs.

    Raises:
        ValueError: If the input does not fit; the message says why.
    """
    import keras

    graph = _functional(network)
    if len(graph.inputs) != 1:
        names = ", ".join(tensor.name for tensor in graph.inputs)
        raise ValueError(f"must take one input. Received: {len(graph.inputs)}, {names}")
    own_shape = tuple(graph.inputs[0].shape[1:])
    fits = len(own_shape) == len(input_shape) and all(
        own in (None, size) for own, size in zip(own_shape, input_shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"must take inputs of shape {tuple(input_shape)}. Received: a network of "
            f"{own_shape}"
        )
    own_dtype = graph.inputs[0].dtype
    if own_dtype == "string":
        raise ValueError(
            "must take numbers. Received: a network of strings: leave its "
            "`TextVectorization` out, for the data's tokenizer makes the ids"
        )
    images = keras.Input(input_shape, dtype=dtype or own_dtype, name="images")
    replace = _Inliner().make_inliner(network.name)
    try:
        # Keras has no public way to call a graph with other operations.
        return images, graph._run_through_graph(images, operation_fn=replace)
    except ValueError as error:
        # Keras adds the shapes of all arguments, in many lines.
        raise ValueError(str(error).splitlines()[0]) from None


def decay(network: keras.Model, weight_decay: float) -> None:
    """Adds an L2 penalty to every kernel of a flat model that has none."""
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
    """The functional model of a sequential model, or the functional model itself."""
    # A sequential model keeps a functional one; a subclass of `Model` has no graph.
    graph = getattr(network, "_functional", network)
    if not hasattr(graph, "_run_through_graph"):
        raise ValueError(f"must be functional. Received: {type(network).__name__}")
    return graph


class _Inliner:
    """Inlines nested models at every depth, and gives each layer a unique name."""

    def __init__(self):
        self._owners = {"images": 0}  # Name to the `id` of the operation that has it.

    def make_inliner(self, inside: str):
        """Makes the function that inlines the operations of the model `inside`."""
        import keras

        def inline(operation):
            if isinstance(operation, keras.Model):
                graph = _functional(operation)
                deeper = self.make_inliner(operation.name)
                return lambda x, **_: graph._run_through_graph(x, operation_fn=deeper)
            if isinstance(operation, keras.layers.Identity):
                return lambda x, **_: x
            self._name(operation, inside)
            return operation

        return inline

    def _name(self, operation, inside):
        """Gives an operation its own name, or a longer one if that is taken."""
        names = itertools.chain(
            [operation.name, f"{inside}_{operation.name}"],
            (f"{inside}_{operation.name}_{number}" for number in itertools.count(1)),
        )
        operation.name = next(
            name
            for name in names
            if self._owners.setdefault(name, id(operation)) == id(operation)
        )


def _logits(output):
    """The input of a softmax at the end; another output as it is."""
    import keras

    layer, index, _ = output._keras_history
    (layer_input, *_) = layer._inbound_nodes[index].input_tensors
    activation = getattr(layer, "activation", None)
    kind = getattr(activation, "__name__", "linear")
    if isinstance(layer, keras.layers.Softmax):
        return layer_input
    if kind == "linear":
        return output
    if kind != "softmax":
        raise ValueError(
            f"must end in logits or a softmax. Received: {layer.name}, which ends in "
            f"{kind}: set its `activation` to `keras.activations.linear`, and save it"
        )
    if isinstance(layer, keras.layers.Activation):
        return layer_input
    # A copy: to take the softmax off the layer itself would change the caller's model.
    bare = type(layer).from_config({**layer.get_config(), "activation": "linear"})
    logits = bare(layer_input)
    bare.set_weights(layer.get_weights())
    return logits
