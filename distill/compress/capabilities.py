"""Which layers of a network TF-MOT and our own engine support."""

import contextlib
import functools
import json
from collections.abc import Callable

import keras
import tf_keras

from distill.compress import trials
from distill.compress.finishers import quantized
from distill.compress.prune import magnitude
from distill.compress.quantize import levels, simulation, tfmot
from distill.compress.quantize.clustering import wrap
from distill.compress.twin import calls, folding, twin
from distill.runtime import errors, progress

# Engines that simulate eight bits, by name, in the order in which `auto` tries them.
ENGINES: dict[str, Callable[..., tf_keras.Model]] = {
    "tfmot": tfmot.simulate,
    "keras": simulation.simulate,
}


def choose_engine(
    model: tf_keras.Model, wanted: str, scheme: str = ""
) -> tuple[str, dict[str, str]]:
    """The first of `ENGINES` that supports a twin.

    Args:
        model: The twin; it is not changed.
        wanted: An engine, or `auto`.
        scheme: What must be preserved, a key of `quantized.SCHEMES`.

    Returns:
        The engine's name. If another was tried first, also the name of each layer
        that the other does not support (`model` if it is no single layer) to the
        reason.

    Raises:
        FinishError: If no engine supports the model; names the layers.
    """
    support = get_support()
    refused: dict[str, str] = {}
    for name in ENGINES if wanted == "auto" else (wanted,):
        way = f"{name}{scheme}"
        why = support.layers(way, model) or support.model(way, model)
        if not why:
            return name, refused
        refused = why if isinstance(why, dict) else {"model": why}
    listed = "; ".join(f"`{layer}`: {reason}" for layer, reason in refused.items())
    raise errors.FinishError(f"this student cannot be quantized: {listed}")


def simulate(
    model: tf_keras.Model, wanted: str, scheme: str
) -> tuple[str, tf_keras.Model]:
    """Wraps a twin for training with simulated eight bits.

    Args:
        model: The twin; kernels on levels stay on them.
        wanted: As for `choose_engine`.
        scheme: As for `choose_engine`.

    Returns:
        The engine's name, and its model.

    Raises:
        FinishError: If no engine supports the model.
    """
    kept = {kernel.layer.name: kernel.levels for kernel in levels.find(model)}
    model = levels.unwrap(model) if kept else model
    name, refused = choose_engine(model, wanted, scheme)
    # Automatic names count all layers so far, and choosing has built some.
    tf_keras.backend.reset_uids()
    reasons = "; ".join(dict.fromkeys(refused.values()))
    progress.say(f"    engine: {name}{f' ({reasons})' if reasons else ''}")
    options = quantized.SCHEMES[scheme] | ({"levels": kept} if kept else {})
    return name, ENGINES[name](model, **options)


def try_early(network: keras.Model, wanted: str, scheme: str) -> None:
    """Tries a network and its layers for `choose_engine`, which then knows them.

    Their options decide and not their weights: the network need not be trained.

    Args:
        network: One that has no twin, or no engine, is left to its finisher.
        wanted: As for `choose_engine`.
        scheme: As for `choose_engine`.
    """
    with contextlib.suppress(twin.NoTwin, errors.FinishError):
        choose_engine(twin.to_tf_keras(network), wanted, scheme)


def noninput_layers(model: tf_keras.Model) -> list[tf_keras.layers.Layer]:
    """The layers of a model without its inputs."""
    kind = tf_keras.layers.InputLayer
    return [layer for layer in model.layers if not isinstance(layer, kind)]


def rewrite(model: tf_keras.Model) -> tf_keras.Model:
    """The model as quantization receives it; unchanged if it cannot be rewritten."""
    try:
        return folding.make_quantizable(model)
    except Exception:
        # tf_keras raises anything for unusual shapes. `Support.model` rewrites the
        # model again, and reports the error as one of the whole model.
        return model


class Support:
    """What is supported, by trying it; of layers that are alike, one is tried.

    A way is `prune`, `cluster`, or an engine with a scheme, such as `tfmot zeros`.
    """

    def __init__(self):
        from tensorflow_model_optimization.clustering import keras as clustering

        # Clustering is tried with LINEAR: k-means++ takes seconds for each layer.
        self._actions: dict[str, Callable] = {
            "prune": magnitude.wrap,
            "cluster": lambda model: wrap(
                folding.fold(model),
                clusters=2,
                cluster_centroids_init=clustering.CentroidInitialization.LINEAR,
            ),
            **{
                f"{name}{scheme}": functools.partial(trials.simulate, engine, options)
                for scheme, options in quantized.SCHEMES.items()
                for name, engine in ENGINES.items()
            },
        }
        self._known: dict[tuple, str | None] = {}
        # Way and architecture of each model to its reason or None.
        self._models: dict[tuple[str, str], str | None] = {}

    def layers(self, way, model):
        """Name of each layer of a model that is not supported to the reason."""
        tool = way.split()[0]
        model = rewrite(model) if tool in ENGINES else model
        behind = {norm: kernel for kernel, norm in folding.kernel_norms(model).items()}
        call_counts = calls.counts(model)
        reasons = {}
        for layer in noninput_layers(model):
            if tool == "tfmot" and call_counts[layer.name] > 1 and layer.weights:
                reasons[layer.name] = tfmot.SHARED
            elif tool == "tfmot" and layer.name in behind:
                # TF-MOT quantizes kernel and norm as one; it refuses a norm alone.
                kernel = model.get_layer(behind[layer.name])
                dense = isinstance(kernel, tf_keras.layers.Dense)
                reasons[layer.name] = _NORMED_DENSE if dense else None
            else:
                reasons[layer.name] = self._layer(way, layer)
        return {name: why for name, why in reasons.items() if why}

    def model(self, way, model):
        """Why a model as a whole is not supported; None if it is.

        A scheme preserves zeros or clusters within each layer, so only `layers` tries
        schemes. The architecture decides, not the weights.
        """
        way = way.split()[0]
        key = way, json.dumps(model.get_config(), sort_keys=True, default=str)
        if key not in self._models:
            action = self._actions[way]
            why = trials.try_action(action, lambda: trials.perturb(model))
            self._models[key] = why
        return self._models[key]

    def _layer(self, way, layer):
        way = _normalize(way)
        inputs = keras.tree.flatten(layer.get_input_at(0))
        ranks = tuple(len(tensor.shape) for tensor in inputs)
        key = way, type(layer), _options(layer), ranks
        if key not in self._known:
            action = trials.make_file if way == "keras" else self._actions[way]
            reason = _reason(way, layer)
            self._known[key] = trials.try_action(
                action, lambda: trials.perturb(trials.isolate(layer)), reason
            )
        return self._known[key]


def _normalize(way):
    """The way that decides for this one.

    Our engine preserves zeros and clusters by changing gradients, whatever the layer:
    its schemes need no trials of their own.
    """
    return "keras" if way.startswith("keras") else way


@functools.cache
def get_support() -> Support:
    """The support of this process; cached, since results do not change."""
    return Support()


def _options(layer):
    """All options that decide whether a layer is supported, not its name or width."""
    left_out = ("name", "filters", "units", "trainable", "dtype", "input_dim")
    left_out += ("output_dim", "initializer", "regularizer", "constraint")
    config = layer.get_config().items()
    options = {key: value for key, value in config if not key.endswith(left_out)}
    return json.dumps(options, sort_keys=True, default=str)


def _reason(way, layer):
    engine, *preserved = way.split()
    tool, verb = _WORDS.get(engine, ("TF-MOT", way))
    if isinstance(layer, tf_keras.layers.BatchNormalization) and tool == "TF-MOT":
        return f"TF-MOT can {verb} a norm only behind a kernel"
    activation = activation_name(layer)
    more = f" with activation `{activation}`" if activation else ""
    staying = f" whose {' and '.join(preserved)} stay" if preserved else ""
    kind = type(layer).__name__
    return f"{tool} cannot {verb} {kind} layers{more}{staying}"


_WORDS = {"tfmot": ("TF-MOT", "quantize"), "keras": ("our engine", "quantize")}
_NORMED_DENSE = "TF-MOT leaves a Dense in float that has a norm behind it"


def activation_name(layer: tf_keras.layers.Layer) -> str | None:
    """The name of a layer's activation; None if it has none or a linear one."""
    name = layer.get_config().get("activation")
    return None if name == "linear" else name
