"""Accuracy against the share of made examples, among the learners of one run."""

import json
from collections.abc import Callable

FEWEST = 3  # Shares that make a curve.


def curves(
    run: dict, accuracy: Callable[[str], float]
) -> dict[str, list[tuple[float, float]]]:
    """The curves that a run holds: learners that differ in the share alone.

    Args:
        run: As in `report.json`.
        accuracy: Percent, of the student or the control of that name.

    Returns:
        Name of a source, with its options where another curve has its name too, to
        `(share, accuracy)`, the least share first; a learner without made examples
        has share 0 on every curve of its kind. One that makes examples in some
        stages only, or not alike in all, is on none.
    """
    learners = {"student": run["stages"]}
    learners |= {control["name"]: control["stages"] for control in run["controls"]}
    described = {name: _described(stages) for name, stages in learners.items()}
    known = {name: found for name, found in described.items() if found}
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
    """The names of the sources; with their options where a name is not enough."""
    sources = [json.loads(source) for _, source in kinds]
    names = [source["name"] for source in sources]
    if len(set(names)) == len(names):
        return names
    return [
        f"{index} {source['name']} {source['options']}"
        for index, source in enumerate(sources, start=1)
    ]


def _described(stages):
    """All but the made examples; their source, or None; their share; or nothing."""
    base = json.dumps([{**stage, "synthetic": None} for stage in stages])
    made = [stage.get("synthetic") for stage in stages]
    if not any(made):
        return base, None, 0.0
    if any(part != made[0] for part in made):
        return None
    options = {k: v for k, v in made[0]["options"].items() if k != "p_fake"}
    source = json.dumps({"name": made[0]["name"], "options": options})
    return base, source, made[0]["options"]["p_fake"]
