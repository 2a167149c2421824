"""Predicts which files can be made of a network, and which layers prevent others."""

from collections.abc import Sequence

from distill import config
from distill.compress import finishers
from distill.measure import cost
from distill.report import compress_tables
from distill.run import parent
from distill.run.blocked import find_blocked

# Advice for a layer that is refused, by its class.
_REMEDIES = {
    "Activation": "take ReLU",
    "BatchNormalization": "put the norm straight behind a convolution or Dense",
}
_AUTO = "leave `engine` at `auto`"
_OTHERWISE = "take another layer, or finishers that work with any layer: {free}"


def examine(network, parts: Sequence[finishers.Finisher]) -> dict:
    """Predicts the files of a network, which need not be trained.

    Args:
        network: A built functional `keras.Model`.
        parts: The finishers.

    Returns:
        The result of `distill.run.parent.diagnose`, and also: `float_share`, the
        fractions of `macs` and `bytes` in layers that cannot be quantized; `files`, a
        dict for each finisher with `name`, `predicted_bytes`, `predicted_packed_bytes`,
        `engine` (the engine of quantization-aware training, or None) and `blocked`
        (name of each layer that prevents the file, or `twin` or `model`, to the
        reason); `advice`, the changes to the network that help, one line each.
    """
    diagnosed = parent.diagnose(network)
    counted = cost.count(network)
    blocked = find_blocked(diagnosed, parts)
    by_name = {config.name_of(part): part for part in parts}
    files = [
        {
            "name": config.name_of(part),
            "predicted_bytes": part.predicted_bytes(counted, by_name),
            "predicted_packed_bytes": part.predicted_packed_bytes(counted, by_name),
            "engine": _engine(part, diagnosed),
            "blocked": blocked[config.name_of(part)],
        }
        for part in parts
    ]
    refused = [layer for layer in diagnosed["layers"] if layer["quantize"]]
    share = {
        key: sum(layer[key] for layer in refused)
        / (sum(layer[key] for layer in diagnosed["layers"]) or 1)
        for key in ("macs", "bytes")
    }
    return {
        **diagnosed,
        "float_share": share,
        "files": files,
        "advice": _advice(diagnosed, files),
    }


def _engine(part, diagnosed):
    """The engine that a finisher trains with; None for one without."""
    chosen = getattr(part, "engine", None)
    return diagnosed["engines"][part.scheme] if chosen == "auto" else chosen


def _advice(diagnosed, files):
    blocking = {name for file in files for name in file["blocked"]}
    tfmot = {name for f in files if f["engine"] == "tfmot" for name in f["blocked"]}
    free = ", ".join(
        name for name, kind in finishers.FINISHERS.items() if not kind.asks
    )
    remedies: dict[str, list[str]] = {}
    for layer in diagnosed["layers"]:
        if layer["name"] in blocking:
            remedy = _REMEDIES.get(layer["kind"], _OTHERWISE.format(free=free))
            refused = [key for key in layer if key.startswith("tfmot") and layer[key]]
            if layer["name"] in tfmot and refused and not layer["keras"]:
                remedy = _AUTO
            remedies.setdefault(remedy, []).append(layer["name"])
    if diagnosed["twin"]:
        remedies[_OTHERWISE.format(free=free)] = list(diagnosed["twin"])
    return [
        f"{compress_tables.join_names(names)}: {remedy}"
        for remedy, names in remedies.items()
    ]
