"""Diagnoses which finishers a network supports, by trying each of its layers."""

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
    """Tries what TF-MOT and our own engine support, for each layer and the whole.

    Args:
        network: A built network; it need not be trained.
        schemes: The keys of `quantized.SCHEMES` to try.

    Returns:
        Plain data:
        `twin`: name of each layer without a tf_keras twin to the reason. If there is
            any, nothing else is tried.
        `engines`: each scheme to the engine that `auto` chooses.
        `layers`: one mapping for each layer of the twin: `name`, `kind` (its class),
            `macs` for one image, `bytes` of its weights in float32, `kernels`
            (whether it has one), `rewritten` (see `folding.make_quantizable`). For
            `prune`, `cluster` and each engine with each scheme (`tfmot`, `tfmot
            zeros`, ...) the reason why the layer is not supported, or None; under
            `quantize`, `quantize zeros`, ... that of the scheme's engine.
        `whole`: the same for reasons that concern no single layer, and under
            `narrow` why no filter can be removed.
        `least_macs`: the smallest share of the MACs that `narrowed` can reach.
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
        empty = {"engines": engines, "layers": [], "whole": whole, "least_macs": 1.0}
        return {"twin": missing, **empty}
    support, rewritten = capabilities.get_support(), capabilities.rewrite(model)
    refused = {way: support.layers(way, model) for way in every}
    # Trying the whole is slow, and would only repeat what a layer has shown.
    whole = {way: None if refused[way] else support.model(way, model) for way in every}
    macs = channels.macs(model)
    layers = [
        {
            **_describe(layer, rewritten.get_layer(layer.name)),
            "macs": macs.get(layer.name, 0),
            **{way: refused[way].get(layer.name) for way in every},
        }
        for layer in capabilities.noninput_layers(model)
    ]
    engines = {}
    # Without an engine that supports the network, the reasons are those of our own,
    # which supports more.
    for scheme in schemes:
        able = [f"{name}{scheme}" for name in capabilities.ENGINES]
        able = [way for way in able if not refused[way] and not whole[way]]
        engines[scheme], _ = ways[able[0]] if able else ("keras", scheme)
        for record in (*layers, whole):
            record[f"quantize{scheme}"] = record[f"{engines[scheme]}{scheme}"]
    least, whole["narrow"] = _narrowing_limit(model)
    return {
        "twin": {},
        "engines": engines,
        "layers": layers,
        "whole": whole,
        "least_macs": least,
    }


def _narrowing_limit(model):
    """The smallest possible share of the MACs; and why no filter can be removed."""
    return channels.least(model), None if channels.inner(model) else channels.BOUND


def _describe(layer, rewritten):
    same = type(rewritten) is type(layer) and capabilities.activation_name(
        rewritten
    ) == capabilities.activation_name(layer)
    return {
        "name": layer.name,
        "kind": type(layer).__name__,
        "bytes": 4 * sum(math.prod(weight.shape) for weight in layer.weights),
        "kernels": bool(calls.kernels(layer)),
        "rewritten": not same,
    }
