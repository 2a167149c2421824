"""A network -> what TF-MOT can do with each of its layers, asked of TF-MOT itself."""

import math
from collections.abc import Callable

import keras
import tf_keras

from distill.finish import channels, cluster, forms, prune, twin

WAYS = ("prune", "cluster", "quantize")


def diagnose(network: keras.Model) -> dict:
    """Asks TF-MOT about each layer of a network, and about the whole.

    Args:
        network: Built; it need not be trained.

    Returns:
        Plain data: `twin`, name of each layer without a tf_keras twin to the
        reason, else nothing is asked of TF-MOT; `layers`, one mapping a layer
        of the twin: `name`, `kind` (its class), `macs` for one image, `bytes`
        of its weights in float32, `kernels` (whether it has one), `rewritten`
        (see `forms.quantizable`), and for each of `WAYS` why TF-MOT refuses the
        layer, or None; `whole`, for each of `WAYS` why TF-MOT refuses the model
        for no layer's sake, or None, and for `narrow` why no filter can go;
        `least_macs`, the share of the MACs that `narrowed` cannot go below.
    """
    try:
        model = twin.to_tf_keras(network)
    except twin.NoTwin as mistake:
        missing = mistake.layers or {network.name: str(mistake)}
        whole = dict.fromkeys([*WAYS, "narrow"])
        return {"twin": missing, "layers": [], "whole": whole, "least_macs": 1.0}
    written, unwritten = _written(model)
    ask = _Asked()
    layers = [
        _layer(layer, written.get_layer(layer.name), ask)
        for layer in model.layers
        if not isinstance(layer, tf_keras.layers.InputLayer)
    ]
    whole = {
        way: None if any(layer[way] for layer in layers) else ask.model(way, asked)
        for way, asked in zip(WAYS, (model, model, written), strict=True)
    }
    whole["quantize"] = whole["quantize"] or unwritten
    least, whole["narrow"] = _least(model)
    return {"twin": {}, "layers": layers, "whole": whole, "least_macs": least}


def _written(model):
    """The model as quantization gets it; if it cannot be written so, why."""
    try:
        return forms.quantizable(model), None
    except Exception as mistake:  # Whatever tf_keras makes of odd shapes.
        return model, _line(mistake)


def _least(model):
    """Share of the MACs that no cut goes below; if no filter can go, why."""
    try:
        return channels.least(model), None if channels.inner(model) else channels.BOUND
    except AttributeError as mistake:  # Of a layer that is used in two sizes.
        return 1.0, _line(mistake)


def _layer(layer, written, ask):
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
        "prune": ask.layer("prune", layer),
        "cluster": ask.layer("cluster", layer),
        "quantize": ask.layer("quantize", written),
    }


class _Asked:
    """What TF-MOT says; layers that are alike are asked about once."""

    def __init__(self):
        from tensorflow_model_optimization.clustering import keras as clustering

        self._actions: dict[str, Callable] = {
            "prune": prune.wrapped,
            "cluster": lambda model: cluster.wrapped(
                forms.folded(model),
                clusters=2,
                cluster_centroids_init=clustering.CentroidInitialization.LINEAR,
            ),
            "quantize": forms.simulated,
        }
        self._known: dict[tuple, str | None] = {}

    def layer(self, way, layer):
        """Why TF-MOT refuses a layer; None where it takes it."""
        if way == "quantize" and _is_norm_behind_kernel(layer):
            return None  # The two become one layer; alone, it is refused.
        key = way, type(layer), _activation(layer)
        if key not in self._known:
            refused = self.model(way, _alone(layer))
            self._known[key] = refused and _reason(way, layer)
        return self._known[key]

    def model(self, way, model):
        """Why TF-MOT refuses a model; None where it takes it."""
        try:
            self._actions[way](tf_keras.models.clone_model(model))
        except Exception as mistake:  # TF-MOT raises what it likes.
            return _line(mistake)
        return None


def _alone(layer):
    """A model of this one layer."""
    inputs = keras.tree.map_structure(
        lambda one: tf_keras.Input(one.shape[1:], dtype=one.dtype),
        layer.get_input_at(0),
    )
    return tf_keras.Model(inputs, type(layer).from_config(layer.get_config())(inputs))


def _reason(way, layer):
    if isinstance(layer, tf_keras.layers.BatchNormalization):
        return f"TF-MOT can {way} a norm only behind a kernel"
    activation = _activation(layer)
    more = f" with activation `{activation}`" if activation else ""
    return f"TF-MOT can {way} no {type(layer).__name__}{more}"


def _activation(layer):
    name = layer.get_config().get("activation")
    return None if name == "linear" else name


def _is_norm_behind_kernel(layer):
    norm = isinstance(layer, tf_keras.layers.BatchNormalization)
    return norm and not forms.is_norm_alone(layer)


def _line(mistake):
    return " ".join(str(mistake).split())[:200]
