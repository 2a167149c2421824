"""A network -> what can be done with each of its layers, by asking and trying."""

import functools
import math
import pathlib
import tempfile
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from distill import export
from distill.finish import channels, cluster, forms, prune, simulation, twin
from distill.measure import facts
from distill.runtime import errors

# Name of each engine that simulates eight bits, in the order in which `auto` asks.
ENGINES: dict[str, Callable[..., tf_keras.Model]] = {
    "tfmot": forms.simulated,
    "keras": simulation.simulated,
}
WAYS = ("prune", "cluster", *ENGINES)


def diagnose(network: keras.Model) -> dict:
    """Asks TF-MOT and our own engine about each layer of a network, and the whole.

    Args:
        network: Built; it need not be trained.

    Returns:
        Plain data: `twin`, name of each layer without a tf_keras twin to the
        reason, else nothing else is asked; `engine`, what quantizes the network
        where nothing is chosen; `layers`, one mapping a layer of the twin: `name`,
        `kind` (its class), `macs` for one image, `bytes` of its weights in
        float32, `kernels` (whether it has one), `rewritten` (see
        `forms.quantizable`), for each of `WAYS` why the layer is refused, or
        None, and as `quantize` what `engine` says; `whole`, likewise of the model
        for no layer's sake, and for `narrow` why no filter can go; `least_macs`,
        the share of the MACs that `narrowed` cannot go below.
    """
    try:
        model = twin.to_tf_keras(network)
    except twin.NoTwin as mistake:
        missing = mistake.layers or {network.name: str(mistake)}
        whole = dict.fromkeys([*WAYS, "quantize", "narrow"])
        found = {"engine": "keras", "layers": [], "whole": whole, "least_macs": 1.0}
        return {"twin": missing, **found}
    asked, written = _asked(), _written(model)
    refused = {way: asked.layers(way, model) for way in WAYS}
    whole = {way: None if refused[way] else asked.model(way, model) for way in WAYS}
    layers = [
        {
            **_described(layer, written.get_layer(layer.name)),
            **{way: refused[way].get(layer.name) for way in WAYS},
        }
        for layer in _layers(model)
    ]
    able = [name for name in ENGINES if not refused[name] and not whole[name]]
    engine = able[0] if able else "keras"
    for record in (*layers, whole):
        record["quantize"] = record[engine]
    least, whole["narrow"] = _least(model)
    return {
        "twin": {},
        "engine": engine,
        "layers": layers,
        "whole": whole,
        "least_macs": least,
    }


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
        return forms.quantizable(model)
    except Exception:  # Whatever tf_keras makes of odd shapes; said of the whole.
        return model


def _least(model):
    """Share of the MACs that no cut goes below; if no filter can go, why."""
    try:
        return channels.least(model), None if channels.inner(model) else channels.BOUND
    except AttributeError as mistake:  # Of a layer that is used in two sizes.
        return 1.0, _line(mistake)


def _described(layer, written):
    kernels = [weight for weight in layer.weights if "kernel" in weight.name]
    pixels = math.prod(size or 1 for size in layer.get_output_shape_at(0)[1:-1])
    same = type(written) is type(layer) and _activation(written) == _activation(layer)
    return {
        "name": layer.name,
        "kind": type(layer).__name__,
        "macs": pixels * sum(math.prod(kernel.shape) for kernel in kernels),
        "bytes": 4 * sum(math.prod(weight.shape) for weight in layer.weights),
        "kernels": bool(kernels),
        "rewritten": not same,
    }


class _Asked:
    """What can be done; of layers that are alike one is tried."""

    def __init__(self):
        from tensorflow_model_optimization.clustering import keras as clustering

        self._actions: dict[str, Callable] = {
            "prune": prune.wrapped,
            "cluster": lambda model: cluster.wrapped(
                forms.folded(model),
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
            dense = isinstance(forms.before(layer), tf_keras.layers.Dense)
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
    model = simulation.simulated(alone)
    draw = np.random.default_rng(0).uniform
    given = [
        draw(size=(2, *one.shape[1:])).astype(one.dtype.name) for one in model.inputs
    ]
    model(tf.nest.pack_sequence_as(model.input, given), training=True)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "alone.tflite"
        path.write_bytes(export.to_tflite(model, "int8"))
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
    return norm and not forms.is_norm_alone(layer)


def _line(mistake):
    return " ".join(str(mistake).split())[:200]
