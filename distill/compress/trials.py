"""What a network or one layer of it becomes, tried on made inputs."""

import pathlib
import tempfile

import numpy as np
import tensorflow as tf
import tf_keras

from distill.compress import convert
from distill.compress.prune import magnitude
from distill.compress.quantize import checked, simulation
from distill.compress.twin import counterparts
from distill.measure import facts

FEW = 8  # Filters of a group; TF-MOT takes seconds for the clusters of a hundred.


def why(action, build, told=None):
    """Why an action fails on what is built for it, in these words if they are told."""
    try:
        action(build())
    except checked.Otherwise as mistake:
        return str(mistake)
    except Exception as mistake:  # TF-MOT and the converter raise what they like.
        return told or counterparts.reason(mistake)
    return None


def simulate(simulated, kept, model):
    """Makes the network that would train, and asks whether it answers as before."""
    if "clusters" in kept:
        for layer in model.layers:
            for kernel in magnitude.kernels(layer):  # Two weights each.
                kernel.assign(tf.sign(kernel) * tf.reduce_mean(tf.abs(kernel)))
    made, given = simulated(model, **kept), _inputs(model)
    checked.check(model, made, given)
    if len(model.layers) < 4:  # One that stands alone.
        _trained(made, given)


def make_file(alone):
    """Makes the file of a layer alone, in which nothing may compute in float."""
    model, given = simulation.simulate(alone), _inputs(alone)
    checked.check(alone, model, given)
    _trained(model, given)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "alone.tflite"
        path.write_bytes(convert.to_tflite(model, "int8"))
        # A layer that changes nothing, such as a `Normalization` that has learned
        # nothing yet, leaves a file of these two alone.
        floats = set(facts.read_facts(path).float_ops) - {"QUANTIZE", "DEQUANTIZE"}
    if floats:
        raise ValueError(f"float ops left: {', '.join(sorted(floats))}")


def _trained(model, given):
    """A step of training, without its change."""

    def step():
        with tf.GradientTape() as tape:
            made = tf.nest.flatten(model(given, training=True))
            loss = sum(tf.reduce_sum(one) for one in made if one.dtype.is_floating)
        return tape.gradient(loss, model.trainable_variables)

    # Called by way of its graph: to TensorFlow each of these is one traced too often.
    tf.function(step).get_concrete_function()()


def _inputs(model):
    """Two made ones; sizes that the model leaves open are 8."""
    draw = np.random.default_rng(0).uniform
    given = [
        draw(size=(2, *(size or 8 for size in one.shape[1:]))).astype(one.dtype.name)
        for one in model.inputs
    ]
    return tf.nest.pack_sequence_as(model.input, given)


def alone(layer):
    """A model of this one layer, called as the network calls it, of `FEW` filters."""
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
    made = type(layer).from_config(config)
    outputs = made(*args, **options)
    pairs = zip(layer.get_weights(), made.get_weights(), strict=True)
    made.set_weights([old[tuple(map(slice, new.shape))] for old, new in pairs])
    first, *others = inputs.values()
    return tf_keras.Model([first, *others] if others else first, outputs)


def shaken(model):
    """A copy with other norms and biases: those of an untrained model say nothing."""
    rng = np.random.default_rng(0)
    copy = tf_keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for weight in copy.weights:
        if len(weight.shape) == 1 and weight.dtype.is_floating:
            moved = weight * rng.uniform(0.7, 1.3, weight.shape)
            if "variance" not in weight.name:
                moved += rng.uniform(-0.1, 0.1, weight.shape)
            weight.assign(moved)
    return copy
