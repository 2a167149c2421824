"""Predicts which files can be made of a network, and which layers prevent others."""

import dataclasses
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
_OWN = "give `pruned` the option `engine: own`"
_OTHERWISE = "take another layer, or finishers that work with any layer: {free}"


def examine(network, parts: Sequence[finishers.Finisher]) -> dict:
    """Predicts the files of a network, which need not be trained.

    Args:
        network: A built functional `keras.Model`.
        parts: The finishers.

    Returns:
        The result of `distill.run.parent.diagnose`, and also: `float_share`, the
        fractions of `macs` and `bytes` in layers that cannot be quantized; `files`, a
        dict for each finisher with `name`, `predicted_bytes`,
        `predicted_packed_bytes`, `upper_bounds` (see `Finisher.upper_bounds`), `engine`
        (the engine that prunes or quantizes in training, or None) and `blocked` (name
        of each layer that prevents the file, or `twin` or `model`, to the reason);
        `advice`, the changes to the network that help, and `cautions`, the known
        risks, one line each.
    """
    diagnosed = parent.diagnose(network)
    counted = cost.count(network)
    blocked = find_blocked(diagnosed, parts, counted.by_layer)
    by_name = {config.name_of(part): part for part in parts}
    files = [
        {
            "name": config.name_of(part),
            "predicted_bytes": part.predicted_bytes(counted, by_name),
            "predicted_packed_bytes": part.predicted_packed_bytes(counted, by_name),
            "upper_bounds": list(part.upper_bounds(by_name)),
            "engine": part.training_engine(diagnosed),
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
        "advice": _advice(diagnosed, parts, blocked, counted.by_layer),
        "cautions": [
            f"{config.name_of(part)}: {line}"
            for part in parts
            for line in part.cautions(diagnosed)
        ],
    }


def _advice(diagnosed, parts, blocked, layers):
    blocking = set().union(*blocked.values())
    free = ", ".join(
        name for name, kind in finishers.FINISHERS.items() if not kind.asks
    )
    otherwise = _OTHERWISE.format(free=free)
    engines = {}
    for remedy, changed in _with_other_engines(parts):
        left = set().union(*find_blocked(diagnosed, changed, layers).values())
        if left <= blocking:  # Else the change would itself be refused.
            engines |= dict.fromkeys(blocking - left, remedy)
    remedies: dict[str, list[str]] = {}
    for layer in diagnosed["layers"]:
        if layer["name"] in blocking:
            remedy = _REMEDIES.get(layer["kind"], otherwise)
            remedy = engines.get(layer["name"], remedy)
            remedies.setdefault(remedy, []).append(layer["name"])
    if diagnosed["twin"]:
        remedies[otherwise] = list(diagnosed["twin"])
    return [
        f"{compress_tables.join_names(names)}: {remedy}"
        for remedy, names in remedies.items()
    ]


def _with_other_engines(parts):
    """Yields each advice, and the finishers as if it were followed; the best last."""
    own, auto, both = (
        [_with_engine(part, *engines) for part in parts]
        for engines in (("own",), ("auto",), ("auto", "own"))
    )
    yield from ((f"{_AUTO}, and {_OWN}", both), (_OWN, own), (_AUTO, auto))


def _with_engine(part, *engines):
    """A finisher with the last of the engines that it may have; else as it is."""
    name = config.name_of(part)
    # TF-MOT alone has the pattern.
    fits = {"own": name == "pruned" and not part.in_fours}
    fits["auto"] = "engine" in {field.name for field in dataclasses.fields(part)}
    for engine in engines:
        part = dataclasses.replace(part, engine=engine) if fits[engine] else part
    return part
