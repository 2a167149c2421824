"""A network -> what can be done with each of its layers, by asking and trying."""

import math

import keras

from distill.compress import capabilities
from distill.compress.prune import channels
from distill.compress.twin import twin


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
        `folding.make_quantizable`), for each of `WAYS` why the layer is refused, or
        None, and as `quantize` what `engine` says; `whole`, likewise of the model
        for no layer's sake, and for `narrow` why no filter can go; `least_macs`,
        the share of the MACs that `narrowed` cannot go below.
    """
    try:
        model = twin.to_tf_keras(network)
    except twin.NoTwin as mistake:
        missing = mistake.layers or {network.name: str(mistake)}
        whole = dict.fromkeys([*capabilities.WAYS, "quantize", "narrow"])
        found = {"engine": "keras", "layers": [], "whole": whole, "least_macs": 1.0}
        return {"twin": missing, **found}
    asked, written = capabilities._asked(), capabilities._written(model)
    refused = {way: asked.layers(way, model) for way in capabilities.WAYS}
    whole = {
        way: None if refused[way] else asked.model(way, model)
        for way in capabilities.WAYS
    }
    layers = [
        {
            **_described(layer, written.get_layer(layer.name)),
            **{way: refused[way].get(layer.name) for way in capabilities.WAYS},
        }
        for layer in capabilities._layers(model)
    ]
    able = [
        name for name in capabilities.ENGINES if not refused[name] and not whole[name]
    ]
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


def _least(model):
    """Share of the MACs that no cut goes below; if no filter can go, why."""
    try:
        return channels.least(model), None if channels.inner(model) else channels.BOUND
    except AttributeError as mistake:  # Of a layer that is used in two sizes.
        return 1.0, capabilities._line(mistake)


def _described(layer, written):
    kernels = [weight for weight in layer.weights if "kernel" in weight.name]
    pixels = math.prod(size or 1 for size in layer.get_output_shape_at(0)[1:-1])
    same = type(written) is type(layer) and capabilities._activation(
        written
    ) == capabilities._activation(layer)
    return {
        "name": layer.name,
        "kind": type(layer).__name__,
        "macs": pixels * sum(math.prod(kernel.shape) for kernel in kernels),
        "bytes": 4 * sum(math.prod(weight.shape) for weight in layer.weights),
        "kernels": bool(kernels),
        "rewritten": not same,
    }
