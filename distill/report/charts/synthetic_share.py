"""Curves of accuracy against the share of synthetic examples, within one run."""

import json
from collections.abc import Callable

FEWEST = 3  # Least number of different shares in a curve.


def curves(
    run: dict, accuracy: Callable[[str], float]
) -> dict[str, list[tuple[float, float]]]:
    """The curves of a run: each joins networks that differ only in the share.

    Args:
        run: The `run` of `report.json`.
        accuracy: Maps the name of the student or of a control to percent.

    Returns:
        Name of each source, with its options if several curves have that name, to
        pairs `(share, accuracy)`, sorted by share. A network without synthetic
        examples has share 0 on every curve with the same stages. A network whose
        stages differ in their synthetic examples is on no curve.
    """
    networks = {"student": run["stages"]}
    networks |= {control["name"]: control["stages"] for control in run["controls"]}
    keys = {name: _key(stages) for name, stages in networks.items()}
    known = {name: key for name, key in keys.items() if key}
    kinds = dict.fromkeys((base, source) for base, source, _ in known.values())
    curves = {
        kind: sorted(
            (share, accuracy(name))
            for name, (base, source, share) in known.items()
            if base == kind[0] and source in (kind[1], None)
        )
        for kind in kinds
        if kind[1] is not None
    }
    long = {k: points for k, points in curves.items() if len(dict(points)) >= FEWEST}
    return dict(zip(_labels(long), long.values(), strict=True))


def _labels(kinds):
    """The names of the sources; with number and options if names are not unique."""
    sources = [json.loads(source) for _, source in kinds]
    names = [source["name"] for source in sources]
    if len(set(names)) == len(names):
        return names
    return [
        f"{index} {source['name']} {source['options']}"
        for index, source in enumerate(sources, start=1)
    ]


def _key(stages):
    """The stages without synthetic examples, their source, and their share.

    The source is None without synthetic examples. None if the stages differ in them.
    """
    # JSON texts: dicts cannot be keys.
    base = json.dumps([{**stage, "synthetic": None} for stage in stages])
    parts = [stage.get("synthetic") for stage in stages]
    if not any(parts):
        return base, None, 0.0
    if any(part != parts[0] for part in parts):
        return None
    options = {k: v for k, v in parts[0]["options"].items() if k != "p_fake"}
    source = json.dumps({"name": parts[0]["name"], "options": options})
    return base, source, parts[0]["options"]["p_fake"]
