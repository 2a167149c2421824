"""A network -> what can be done with each of its layers, by asking and trying."""

import math
from collections.abc import Sequence

import keras

from distill.compress import capabilities
from distill.compress.finishers import quantized
from distill.compress.prune import channels
from distill.compress.twin import calls, twin


def diagnose(
    network: keras.Model, schemes: Sequence[str] = tuple(quantized.SCHEMES)
) -> dict:
    """Asks TF-MOT and our own engine about each layer of a network, and the whole.

    Args:
        network: Built; it need not be trained.
        schemes: Of `quantized.SCHEMES`, those that are asked about.

    Returns:
        Plain data: `twin`, name of each layer without a tf_keras twin to the
        reason, else nothing else is asked; `engines`, each scheme to what quantizes
        the network where nothing is chosen; `layers`, one mapping a layer of the
        twin: `name`, `kind` (its class), `macs` for one image, `bytes` of its
        weights in float32, `kernels` (whether it has one), `rewritten` (see
        `folding.make_quantizable`), for `prune`, `cluster` and each engine with each
        scheme (`tfmot`, `tfmot zeros`, ...) why the layer is refused, or None, and as
        `quantize`, `quantize zeros`, ... what the engine of that scheme says;
        `whole`, likewise of the model for no layer's sake, and for `narrow` why no
        filter can go; `least_macs`, the share of the MACs that `narrowed` cannot go
        below.
    """
    ways = {
        f"{name}{scheme}": (name, scheme)
        for scheme in schemes
        for name in capabilities.ENGINES
    }
    every = ("prune", "cluster", *ways)
    try:
        model = twin.to_tf_keras(network)
    except twin.NoTwin as mistake:
        missing = mistake.layers or {network.name: str(mistake)}
        whole = dict.fromkeys([*every, *(f"quantize{x}" for x in schemes), "narrow"])
        engines = dict.fromkeys(schemes, "keras")
        found = {"engines": engines, "layers": [], "whole": whole, "least_macs": 1.0}
        return {"twin": missing, **found}
    asked, written = capabilities._asked(), capabilities._written(model)
    refused = {way: asked.layers(way, model) for way in every}
    whole = {way: None if refused[way] else asked.model(way, model) for way in every}
    macs = channels.macs(model)
    layers = [
        {
            **_described(layer, written.get_layer(layer.name)),
            "macs": macs.get(layer.name, 0),
            **{way: refused[way].get(layer.name) for way in every},
        }
        for layer in capabilities._layers(model)
    ]
    engines = {}
    for scheme in schemes:
        able = [f"{name}{scheme}" for name in capabilities.ENGINES]
        able = [way for way in able if not refused[way] and not whole[way]]
        engines[scheme], _ = ways[able[0]] if able else ("keras", scheme)
        for record in (*layers, whole):
            record[f"quantize{scheme}"] = record[f"{engines[scheme]}{scheme}"]
    least, whole["narrow"] = _least(model)
    return {
        "twin": {},
        "engines": engines,
        "layers": layers,
        "whole": whole,
        "least_macs": least,
    }


def _least(model):
    """Share of the MACs that no cut goes below; if no filter can go, why."""
    return channels.least(model), None if channels.inner(model) else channels.BOUND


def _described(layer, written):
    same = type(written) is type(layer) and capabilities._activation(
        written
    ) == capabilities._activation(layer)
    return {
        "name": layer.name,
        "kind": type(layer).__name__,
        "bytes": 4 * sum(math.prod(weight.shape) for weight in layer.weights),
        "kernels": bool(calls.kernels(layer)),
        "rewritten": not same,
    }
