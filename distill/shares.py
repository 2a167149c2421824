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
        Name of a source to `(share, accuracy)`, the least share first; a learner
        without made examples has share 0 on the curve of every source.
    """
    learners = {"student": run["stages"]}
    learners |= {control["name"]: control["stages"] for control in run["controls"]}
    described = {name: _described(stages) for name, stages in learners.items()}
    found: dict[str, list[tuple[float, float]]] = {}
    for base, source in dict.fromkeys((b, s) for b, s, _ in described.values() if s):
        points = sorted(
            (share, accuracy(name))
            for name, (its_base, its_source, share) in described.items()
            if its_base == base and its_source in (source, None)
        )
        if len({share for share, _ in points}) >= FEWEST:
            found[json.loads(source)["name"]] = points
    return found


def _described(stages):
    """All but the made examples; their source, or None; and their share."""
    base = json.dumps([{**stage, "synthetic": None} for stage in stages])
    made = [stage["synthetic"] for stage in stages if stage.get("synthetic")]
    shares = {part["options"]["p_fake"] for part in made}
    if not made or len(shares) > 1:
        return base, None, 0.0
    sources = [
        {**part, "options": {**part["options"], "p_fake": None}} for part in made
    ]
    return base, json.dumps(sources[0]), shares.pop()
