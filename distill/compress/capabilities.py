"""What tf_keras, TF-MOT and our own engine can do with each layer of a network."""

import functools
import pathlib
import tempfile
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from distill.compress import convert
from distill.compress.prune import magnitude
from distill.compress.quantize import simulation, tfmot
from distill.compress.quantize.clustering import wrap
from distill.compress.twin import folding
from distill.measure import facts
from distill.runtime import errors

# Name of each engine that simulates eight bits, in the order in which `auto` asks.
ENGINES: dict[str, Callable[..., tf_keras.Model]] = {
    "tfmot": tfmot.simulate,
    "keras": simulation.simulate,
}
WAYS = ("prune", "cluster", *ENGINES)


def engine(model: tf_keras.Model, wanted: str) -> tuple[str, dict[str, str]]:
    """Which of `ENGINES` quantizes a twin.

    Args:
        model: The twin; it is left as it is.
        wanted: An engine, or `auto`.

    Returns:
        The engine's name; and where it is not the first that was asked, name of
        each layer that the first refuses (`model` where it is no single one) to
        the reason.

    Raises:
        FinishError: If none takes the model; names each layer in the way.
    """
    asked = _asked()
    refused: dict[str, str] = {}
    for name in ENGINES if wanted == "auto" else (wanted,):
        why = asked.layers(name, model) or asked.model(name, model)
        if not why:
            return name, refused
        refused = why if isinstance(why, dict) else {"model": why}
    listed = "; ".join(f"`{layer}`: {reason}" for layer, reason in refused.items())
    raise errors.FinishError(f"this student cannot be quantized: {listed}")


def _layers(model):
    kind = tf_keras.layers.InputLayer
    return [layer for layer in model.layers if not isinstance(layer, kind)]


def _written(model):
    """The model as quantization gets it, if it can be written so."""
    try:
        return folding.make_quantizable(model)
    except Exception:  # Whatever tf_keras makes of odd shapes; said of the whole.
        return model


class _Asked:
    """What can be done; of layers that are alike one is tried."""

    def __init__(self):
        from tensorflow_model_optimization.clustering import keras as clustering

        self._actions: dict[str, Callable] = {
            "prune": magnitude.wrap,
            "cluster": lambda model: wrap(
                folding.fold(model),
                clusters=2,
                cluster_centroids_init=clustering.CentroidInitialization.LINEAR,
            ),
            **ENGINES,
        }
        self._known: dict[tuple, str | None] = {}

    def layers(self, way, model):
        """Name of each layer of a model that is refused to the reason."""
        model = _written(model) if way in ENGINES else model
        reasons = {layer.name: self._layer(way, layer) for layer in _layers(model)}
        return {name: why for name, why in reasons.items() if why}

    def model(self, way, model):
        """Why a model is refused; None where it is taken."""
        return _why(self._actions[way], model)

    def _layer(self, way, layer):
        if way == "tfmot" and _is_norm_behind_kernel(layer):
            # The two become one layer; alone, it is refused.
            dense = isinstance(folding.before(layer), tf_keras.layers.Dense)
            return _NORMED_DENSE if dense else None
        given = keras.tree.flatten(layer.get_input_at(0))
        ranks = tuple(len(one.shape) for one in given)
        key = way, type(layer), _activation(layer), ranks
        if key not in self._known:
            action = _converted if way == "keras" else self._actions[way]
            refused = _why(action, _alone(layer))
            self._known[key] = refused and _reason(way, layer)
        return self._known[key]


@functools.cache
def _asked():
    """One for the whole process: answers do not change."""
    return _Asked()


def _why(action, model):
    try:
        action(tf_keras.models.clone_model(model))
    except Exception as mistake:  # TF-MOT and the converter raise what they like.
        return _line(mistake)
    return None


def _converted(alone):
    """Makes the file of a layer alone, in which nothing may compute in float."""
    model = simulation.simulate(alone)
    draw = np.random.default_rng(0).uniform
    given = [
        draw(size=(2, *one.shape[1:])).astype(one.dtype.name) for one in model.inputs
    ]
    model(tf.nest.pack_sequence_as(model.input, given), training=True)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "alone.tflite"
        path.write_bytes(convert.to_tflite(model, "int8"))
        # A layer that changes nothing, such as a `Normalization` that has learned
        # nothing yet, leaves a file of these two alone.
        floats = set(facts.read_facts(path).float_ops) - {"QUANTIZE", "DEQUANTIZE"}
    if floats:
        raise ValueError(f"float ops left: {', '.join(sorted(floats))}")


def _alone(layer):
    """A model of this one layer."""
    inputs = keras.tree.map_structure(
        lambda one: tf_keras.Input(one.shape[1:], dtype=one.dtype),
        layer.get_input_at(0),
    )
    return tf_keras.Model(inputs, type(layer).from_config(layer.get_config())(inputs))


def _reason(way, layer):
    who, what = _SAID.get(way, ("TF-MOT", way))
    if isinstance(layer, tf_keras.layers.BatchNormalization) and who == "TF-MOT":
        return f"TF-MOT can {what} a norm only behind a kernel"
    activation = _activation(layer)
    more = f" with activation `{activation}`" if activation else ""
    return f"{who} can {what} no {type(layer).__name__}{more}"


_SAID = {"tfmot": ("TF-MOT", "quantize"), "keras": ("our engine", "quantize")}
_NORMED_DENSE = "TF-MOT leaves a Dense in float that has a norm behind it"


def _activation(layer):
    name = layer.get_config().get("activation")
    return None if name == "linear" else name


def _is_norm_behind_kernel(layer):
    norm = isinstance(layer, tf_keras.layers.BatchNormalization)
    return norm and not folding.is_norm_alone(layer)


def _line(mistake):
    return " ".join(str(mistake).split())[:200]
