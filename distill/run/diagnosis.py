"""Which files a network can become, and what is in the way of the others."""

import collections
from collections.abc import Sequence

from distill import config
from distill.compress import finishers
from distill.measure import cost
from distill.report import compress_tables
from distill.run import parent

# Class of a layer to what helps where it is refused.
_CURES = {
    "Activation": "take ReLU",
    "BatchNormalization": "put the norm straight behind a convolution or Dense",
}
_AUTO = "leave `engine` at `auto`"
_ELSE = "take another layer, or finishers that ask nothing of it: {free}"


def examine(network, parts: Sequence[finishers.Finisher]) -> dict:
    """What can be made of a network; it need not be trained.

    Args:
        network: A built functional `keras.Model`.
        parts: The finishers that are wanted.

    Returns:
        As `distill.run.parent.diagnose`, and besides: `float_share`, shares of
        `macs` and `bytes` in [0, 1] of the layers that quantization refuses;
        `files`, one mapping a finisher: `name`, `predicted_bytes`, `engine`, what
        quantizes it in training, or None, `blocked`, name of each layer in the way
        (`twin` or `model` where it is no single one) to the reason; `advice`, what
        to change, one line each.
    """
    found = parent.diagnose(network)
    counted = cost.count(network)
    blocked: dict[str, dict[str, str]] = {}
    for part in parts:
        own = part.blocked(found)
        before = [blocked.get(name, {}) for name in part.needs]
        blocked[config.name_of(part)] = dict(collections.ChainMap(own, *before))
    by_name = {config.name_of(part): part for part in parts}
    files = [
        {
            "name": config.name_of(part),
            "predicted_bytes": part.predicted_bytes(counted, by_name),
            "engine": _engine(part, found),
            "blocked": blocked[config.name_of(part)],
        }
        for part in parts
    ]
    refused = [layer for layer in found["layers"] if layer["quantize"]]
    share = {
        key: sum(layer[key] for layer in refused)
        / (sum(layer[key] for layer in found["layers"]) or 1)
        for key in ("macs", "bytes")
    }
    return {
        **found,
        "float_share": share,
        "files": files,
        "advice": _advice(found, files),
    }


def _engine(part, found):
    """What would quantize for a finisher; None for one that does not train so."""
    chosen = getattr(part, "engine", None)
    return found["engine"] if chosen == "auto" else chosen


def _advice(found, files):
    blocking = {name for file in files for name in file["blocked"]}
    tfmot = {name for f in files if f["engine"] == "tfmot" for name in f["blocked"]}
    free = ", ".join(
        name for name, kind in finishers.FINISHERS.items() if not kind.asks
    )
    cures: dict[str, list[str]] = {}
    for layer in found["layers"]:
        if layer["name"] in blocking:
            cure = _CURES.get(layer["kind"], _ELSE.format(free=free))
            if layer["name"] in tfmot and layer["tfmot"] and not layer["keras"]:
                cure = _AUTO
            cures.setdefault(cure, []).append(layer["name"])
    if found["twin"]:
        cures[_ELSE.format(free=free)] = list(found["twin"])
    return [
        f"{compress_tables.join_names(names)}: {cure}" for cure, names in cures.items()
    ]
