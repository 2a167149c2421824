"""The calls of layers in a functional tf_keras model."""

import collections
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
import tf_keras


def nodes(model: tf_keras.Model) -> Iterator[Any]:
    """Every call of a layer in a functional model, in topological order."""
    # Keras counts depth from the outputs.
    for depth in sorted(model._nodes_by_depth, reverse=True):
        yield from (node for node in model._nodes_by_depth[depth] if not node.is_input)


def counts(model: tf_keras.Model) -> dict[str, int]:
    """Name of each layer to the number of its calls."""
    return dict(collections.Counter(node.layer.name for node in nodes(model)))


def kernels(layer: tf_keras.layers.Layer) -> list[tf.Variable]:
    """The kernels of a layer.

    The weight's own name decides, since the layer's may contain the word too.
    """
    return [x for x in layer.weights if "kernel" in x.name.rpartition("/")[-1]]


def run(model: tf_keras.Model, inputs: Any, call: Callable[..., Any]) -> Any:
    """Runs a model call by call.

    Args:
        model: A functional model.
        inputs: Tensors in the structure of its inputs.
        call: A function from a layer and the arguments of a call to its outputs.

    Returns:
        Tensors in the structure of the model's outputs.
    """
    tensors = {
        id(x): y for x, y in zip(model.inputs, tf.nest.flatten(inputs), strict=True)
    }
    for node in nodes(model):
        # `map_arguments` pops tensors from a list by their id; one that is an argument
        # several times is popped as often.
        popped = {
            str(key): [tensors[key]] * len(node.keras_inputs)
            for key in map(id, node.keras_inputs)
        }
        args, options = node.map_arguments(popped)
        outputs = tf.nest.flatten(call(node.layer, *args, **options))
        tensors |= zip(map(id, tf.nest.flatten(node.outputs)), outputs, strict=True)
    outputs = [tensors[id(x)] for x in model.outputs]
    return tf.nest.pack_sequence_as(model.output, outputs)


def sole_followers(
    model: tf_keras.Model,
) -> dict[tf_keras.layers.Layer, tf_keras.layers.Layer]:
    """Each layer whose outputs go to only one other, in every call, to that other.

    If the other has no further input, the two can become one layer.
    """
    followers = collections.defaultdict(list)
    for node in nodes(model):
        for tensor in node.keras_inputs:
            followers[tensor._keras_history.layer].append(node.layer)
    # An output of the model is needed as it is: it counts as another follower.
    for output in model.outputs:
        followers[output._keras_history.layer].append(None)
    call_counts = counts(model)
    return {
        layer: behind[0]
        for layer, behind in followers.items()
        if len(set(behind)) == 1
        and behind[0] is not None
        and len(behind) == call_counts.get(layer.name) == call_counts[behind[0].name]
    }


def split_calls(model: tf_keras.Model) -> tuple[tf_keras.Model, dict[str, str]]:
    """Turns every further call of a layer into a separate layer.

    Returns:
        A model with the same outputs, or `model` itself if no layer is called twice;
        and name of each new layer to the one that it copies.
    """
    if max(counts(model).values(), default=0) < 2:
        return model, {}
    call_counts: collections.Counter[str] = collections.Counter()
    owners = {}

    def call(layer, *args, **options):
        call_counts[layer.name] += 1
        name = layer.name
        if call_counts[layer.name] > 1:
            name = f"{layer.name}_call{call_counts[layer.name]}"
            owners[name] = layer.name
        copy = type(layer).from_config({**layer.get_config(), "name": name})
        outputs = copy(*args, **options)
        copy.set_weights(layer.get_weights())
        return outputs

    inputs = [
        tf_keras.Input(x.shape[1:], dtype=x.dtype, name=x._keras_history.layer.name)
        for x in model.inputs
    ]
    inputs = tf.nest.pack_sequence_as(model.input, inputs)
    return tf_keras.Model(inputs, run(model, inputs, call), name=model.name), owners
