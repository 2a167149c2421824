"""What tf_keras, TF-MOT and our own engine can do with each layer of a network."""

import functools
import json
from collections.abc import Callable

import keras
import tf_keras

from distill.compress import trials
from distill.compress.finishers import quantized
from distill.compress.prune import magnitude
from distill.compress.quantize import simulation, tfmot
from distill.compress.quantize.clustering import wrap
from distill.compress.twin import calls, folding
from distill.runtime import errors

# Name of each engine that simulates eight bits, in the order in which `auto` asks.
ENGINES: dict[str, Callable[..., tf_keras.Model]] = {
    "tfmot": tfmot.simulate,
    "keras": simulation.simulate,
}


def engine(
    model: tf_keras.Model, wanted: str, scheme: str = ""
) -> tuple[str, dict[str, str]]:
    """Which of `ENGINES` quantizes a twin.

    Args:
        model: The twin; it is left as it is.
        wanted: An engine, or `auto`.
        scheme: Of `quantized.SCHEMES`: what has to stay.

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
        way = f"{name}{scheme}"
        why = asked.layers(way, model) or asked.model(way, model)
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
            **{
                f"{name}{scheme}": functools.partial(trials.simulate, simulate, kept)
                for scheme, kept in quantized.SCHEMES.items()
                for name, simulate in ENGINES.items()
            },
        }
        self._known: dict[tuple, str | None] = {}
        self._last: tuple = ()  # Of a model and its ways: to each why it is refused.

    def layers(self, way, model):
        """Name of each layer of a model that is refused to the reason."""
        who = way.split()[0]
        model = _written(model) if who in ENGINES else model
        behind = {norm: kernel for kernel, norm in folding.normed(model).items()}
        often = calls.counts(model)
        reasons = {}
        for layer in _layers(model):
            if who == "tfmot" and often[layer.name] > 1 and layer.weights:
                reasons[layer.name] = tfmot.SHARED
            elif who == "tfmot" and layer.name in behind:
                # The two become one layer; alone, it is refused.
                kernel = model.get_layer(behind[layer.name])
                dense = isinstance(kernel, tf_keras.layers.Dense)
                reasons[layer.name] = _NORMED_DENSE if dense else None
            else:
                reasons[layer.name] = self._layer(way, layer)
        return {name: why for name, why in reasons.items() if why}

    def model(self, way, model):
        """Why a model is refused for no layer's sake; None where it is taken.

        Whatever keeps zeros or clusters does it within each layer: `layers` asks it.
        """
        way = way.split()[0]
        if not self._last or self._last[0] is not model:
            self._last = model, {}
        if way not in self._last[1]:
            why = trials.why(self._actions[way], lambda: trials.shaken(model))
            self._last[1][way] = why
        return self._last[1][way]

    def _layer(self, way, layer):
        way = _decisive(way)
        given = keras.tree.flatten(layer.get_input_at(0))
        key = way, type(layer), _options(layer), tuple(len(one.shape) for one in given)
        if key not in self._known:
            action = trials.make_file if way == "keras" else self._actions[way]
            said = _reason(way, layer)
            self._known[key] = trials.why(
                action, lambda: trials.shaken(trials.alone(layer)), said
            )
        return self._known[key]


def _decisive(way):
    """Our engine keeps zeros and clusters by gradients alone: always, or never."""
    return "keras" if way.startswith("keras") else way


@functools.cache
def _asked():
    """One for the whole process: answers do not change."""
    return _Asked()


def _options(layer):
    """All that decides whether a layer is taken: not its name, nor how wide it is."""
    left_out = ("name", "filters", "units", "trainable", "dtype", "input_dim")
    left_out += ("output_dim", "initializer", "regularizer", "constraint")
    config = layer.get_config().items()
    kept = {key: value for key, value in config if not key.endswith(left_out)}
    return json.dumps(kept, sort_keys=True, default=str)


def _reason(way, layer):
    engine, *kept = way.split()
    who, what = _SAID.get(engine, ("TF-MOT", way))
    if isinstance(layer, tf_keras.layers.BatchNormalization) and who == "TF-MOT":
        return f"TF-MOT can {what} a norm only behind a kernel"
    activation = _activation(layer)
    more = f" with activation `{activation}`" if activation else ""
    staying = f" whose {' and '.join(kept)} stay" if kept else ""
    return f"{who} can {what} no {type(layer).__name__}{more}{staying}"


_SAID = {"tfmot": ("TF-MOT", "quantize"), "keras": ("our engine", "quantize")}
_NORMED_DENSE = "TF-MOT leaves a Dense in float that has a norm behind it"


def _activation(layer):
    name = layer.get_config().get("activation")
    return None if name == "linear" else name
