"""Who calls whom in a tf_keras model: each call of a layer, and layers called twice."""

import collections
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
import tf_keras


def nodes(model: tf_keras.Model) -> Iterator[Any]:
    """Every call of a layer in a functional model; what it is given comes before."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        yield from (node for node in model._nodes_by_depth[depth] if not node.is_input)


def counts(model: tf_keras.Model) -> dict[str, int]:
    """Name of each layer to how often the model calls it."""
    return dict(collections.Counter(node.layer.name for node in nodes(model)))


def kernels(layer: tf_keras.layers.Layer) -> list[tf.Variable]:
    """The weights of a layer that multiply; their own name says it, not the layer's."""
    return [x for x in layer.weights if "kernel" in x.name.rpartition("/")[-1]]


def run(model: tf_keras.Model, inputs: Any, call: Callable[..., Any]) -> Any:
    """A model, call by call.

    Args:
        model: A functional one.
        inputs: Tensors in the structure of its inputs.
        call: Told a layer and what it is called with; returns what it makes.

    Returns:
        Tensors in the structure of the model's outputs.
    """
    made = {
        id(x): y for x, y in zip(model.inputs, tf.nest.flatten(inputs), strict=True)
    }
    for node in nodes(model):
        # Keras hands each tensor out of a list, once to each who wants it.
        given = {
            str(key): [made[key]] * len(node.keras_inputs)
            for key in map(id, node.keras_inputs)
        }
        args, options = node.map_arguments(given)
        outputs = tf.nest.flatten(call(node.layer, *args, **options))
        made |= zip(map(id, tf.nest.flatten(node.outputs)), outputs, strict=True)
    kept = [made[id(x)] for x in model.outputs]
    return tf.nest.pack_sequence_as(model.output, kept)


def followed(
    model: tf_keras.Model,
) -> dict[tf_keras.layers.Layer, tf_keras.layers.Layer]:
    """Each layer that only one other hears, once in each of its calls, to that one.

    Of one that hears nothing else, the two may become one layer.
    """
    heard = collections.defaultdict(list)
    for node in nodes(model):
        for given in node.keras_inputs:
            heard[given._keras_history.layer].append(node.layer)
    for out in model.outputs:
        heard[out._keras_history.layer].append(None)
    times = counts(model)
    return {
        layer: behind[0]
        for layer, behind in heard.items()
        if len(set(behind)) == 1
        and behind[0] is not None
        and len(behind) == times.get(layer.name) == times[behind[0].name]
    }


def apart(model: tf_keras.Model) -> tuple[tf_keras.Model, dict[str, str]]:
    """Makes every further call of a layer a layer of its own.

    Returns:
        The model, which answers as `model` does, and is `model` where no layer is
        called twice; and name of each such new layer to the one that it copies.
    """
    if max(counts(model).values(), default=0) < 2:
        return model, {}
    times: collections.Counter[str] = collections.Counter()
    owners = {}

    def call(layer, *args, **options):
        times[layer.name] += 1
        name = layer.name
        if times[layer.name] > 1:
            name = f"{layer.name}_call{times[layer.name]}"
            owners[name] = layer.name
        copy = type(layer).from_config({**layer.get_config(), "name": name})
        made = copy(*args, **options)
        copy.set_weights(layer.get_weights())
        return made

    given = [
        tf_keras.Input(x.shape[1:], dtype=x.dtype, name=x._keras_history.layer.name)
        for x in model.inputs
    ]
    given = tf.nest.pack_sequence_as(model.input, given)
    return tf_keras.Model(given, run(model, given, call), name=model.name), owners
