"""Tries engines and tools on a network, or on one of its layers, on random inputs."""

import numpy as np
import tensorflow as tf
import tf_keras

from distill.compress import convert
from distill.compress.prune import magnitude
from distill.compress.quantize import equivalence, simulation
from distill.compress.twin import counterparts
from distill.measure import graph

FEW = 8  # Filters of a group: TF-MOT needs seconds to cluster a hundred.


def try_action(action, build, reason=None):
    """Tries an action on a model that is built for it.

    Args:
        action: A function that raises any exception if the model is not supported.
        build: A function that returns the model.
        reason: What to return for an error without a clear message of its own.

    Returns:
        The reason why the action failed; None if it did not.
    """
    try:
        action(build())
    except equivalence.OutputsDiffer as mistake:
        return str(mistake)
    except Exception as mistake:  # TF-MOT and the converter raise errors of any class.
        return reason or counterparts.reason(mistake)
    return None


def simulate(engine, options, model):
    """Builds the network that would train, and compares its outputs with the model's.

    Args:
        engine: A function of `capabilities.ENGINES`.
        options: Its options, from `quantized.SCHEMES`.
        model: The twin, or a model of one layer.

    Raises:
        Exception: If the engine does not support the model, or the outputs differ.
    """
    if "clusters" in options:
        # Preserving clusters needs a clustered kernel: two weights in each.
        for layer in model.layers:
            for kernel in magnitude.kernels(layer):
                kernel.assign(tf.sign(kernel) * tf.reduce_mean(tf.abs(kernel)))
    simulated, inputs = engine(model, **options), _random_inputs(model)
    equivalence.check(model, simulated, inputs)
    # A model of one layer has at most two inputs beside it. A whole network is not
    # trained here, for its layers have been tried one by one.
    if len(model.layers) < 4:
        _train_step(simulated, inputs)


def make_file(single):
    """Makes the int8 file of a single layer, and checks that no op computes in float.

    The layer's own kernel in TFLite decides: our engine could simulate more layers
    than the converter can write.
    """
    model, inputs = simulation.simulate(single), _random_inputs(single)
    equivalence.check(single, model, inputs)
    _train_step(model, inputs)
    ops = graph.Graph(convert.to_tflite(model, "int8")).float_ops()
    # A layer without effect, such as a `Normalization` that is not adapted yet, leaves
    # a file with these two ops alone.
    floats = set(ops) - {"QUANTIZE", "DEQUANTIZE"}
    if floats:
        raise ValueError(f"float ops left: {', '.join(sorted(floats))}")


def _train_step(model, inputs):
    """Computes the gradients of one training step, and does not apply them."""

    def step():
        with tf.GradientTape() as tape:
            outputs = tf.nest.flatten(model(inputs, training=True))
            loss = sum(tf.reduce_sum(one) for one in outputs if one.dtype.is_floating)
        return tape.gradient(loss, model.trainable_variables)

    # The concrete function: TensorFlow would warn of too many traces of `step`.
    tf.function(step).get_concrete_function()()


def _random_inputs(model):
    """Two random examples; sizes that the model leaves open are 8."""
    draw = np.random.default_rng(0).uniform
    arrays = [
        draw(size=(2, *(size or 8 for size in one.shape[1:]))).astype(one.dtype.name)
        for one in model.inputs
    ]
    return tf.nest.pack_sequence_as(model.input, arrays)


def isolate(layer):
    """A model of one layer with `FEW` filters, called as the network calls it."""
    node = layer.inbound_nodes[0]
    inputs = {
        str(id(x)): tf_keras.Input(x.shape[1:], dtype=x.dtype)
        for x in node.keras_inputs
    }
    times = len(node.keras_inputs)
    args, options = node.map_arguments({key: [x] * times for key, x in inputs.items()})
    config = layer.get_config()
    if "filters" in config:
        groups = config.get("groups", 1)
        config["filters"] = groups * min(FEW, config["filters"] // groups)
    copy = type(layer).from_config(config)
    outputs = copy(*args, **options)
    # The copy may have fewer filters: it takes the first weights on every axis.
    pairs = zip(layer.get_weights(), copy.get_weights(), strict=True)
    copy.set_weights([old[tuple(map(slice, new.shape))] for old, new in pairs])
    first, *others = inputs.values()
    return tf_keras.Model([first, *others] if others else first, outputs)


def perturb(model):
    """A copy with random norms and biases.

    Those of an untrained model are 0 and 1, with which a forgotten bias or norm would
    not change any output.
    """
    rng = np.random.default_rng(0)
    copy = tf_keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for weight in copy.weights:
        if len(weight.shape) == 1 and weight.dtype.is_floating:
            value = weight * rng.uniform(0.7, 1.3, weight.shape)
            if "variance" not in weight.name:  # It must stay positive.
                value += rng.uniform(-0.1, 0.1, weight.shape)
            weight.assign(value)
    return copy
