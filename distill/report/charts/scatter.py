"""Numbers -> where to draw them: geometry only, in pixels of an SVG."""

import math
from collections.abc import Sequence

import numpy as np

from distill.config import roles
from distill.report.charts import axes, pareto

LINE = 14  # Height of a label in pixels.
LETTER = 6.2  # Mean width of a letter of a label.
MARKER = 12  # Width and height of a point.


def front(
    models: Sequence[dict],
    width: int,
    height: int,
    *,
    measure: pareto.Measure = pareto.MEASURES["bytes"],
) -> dict:
    """Accuracy against bytes or another measure, the x axis in logarithms.

    A failed model dominates none, is on no front, and does not stretch the y
    axis: if it lies below, it is drawn at the lower edge.

    Args:
        models: As in `report.json`; those without finite numbers, or without the
            measure, are left out.
            A `family` of its own goes before what the name says.
        width: Pixels.
        height: Pixels.
        measure: What is on the x axis.

    Returns:
        For the template: `points`, `line` (corners of the front), both axes' ticks,
        and `measure`.
    """
    models = [
        model
        for model in models
        if math.isfinite(model["accuracy"]) and measure.of(model)
    ]
    sound = [model for model in models if not model["failed"]]
    seen = [model["accuracy"] for model in sound or models]
    lowest, highest = min(seen), max(seen)
    margin = max(0.08 * (highest - lowest), 0.05)
    box = {"left": 46, "right": width - 12, "top": 14, "bottom": height - 40}
    sizes = [measure.of(model) for model in models]
    x = axes.axis(
        min(sizes) / 1.3, max(sizes) * 1.3, box["left"], box["right"], log=True
    )
    y = axes.axis(lowest - margin, highest + margin, box["bottom"], box["top"])
    on_none = pareto.beaten(models, measure)
    points = [
        {
            "model": model,
            "x": x["at"](measure.of(model)),
            "y": float(np.clip(y["at"](model["accuracy"]), 0, box["bottom"])),
            "below": model["accuracy"] < y["low"],
            "dominated": on_none[model["name"]],
            "label": _label(model),
            "family": model.get("family") or family(model["name"]),
        }
        for model in models
    ]
    _put_labels(points, box)
    best = sorted((p for p in points if not p["dominated"]), key=lambda p: p["x"])
    # A step: up to the next file's size, the smaller file is the best there is.
    line = [(a["x"], b["y"]) for a, b in zip(best[1:], best, strict=False)]
    corners = [(p["x"], p["y"]) for p in best] + line
    corners.sort(key=lambda corner: (corner[0], -corner[1]))
    return {
        **{"width": width, "height": height, "box": box, "points": points},
        **{"line": corners, "x": x, "y": y, "measure": measure},
    }


def family(name: str) -> str:
    """Whose a model of a run is: `teacher`, `student` or `control`.

    Assistants and the teachers beside the first are teachers too.

    Args:
        name: As in `report.json`, such as `student.int8`.
    """
    first = name.split(".")[0]
    if not roles.is_reserved(first):
        return "control"
    return "student" if first == "student" else "teacher"


def _label(model):
    """A student's file goes by its variant; the rest by their own names."""
    name = model["name"].removeprefix("student.")
    return f"{name} (failed, {model['accuracy']:.1f} %)" if model["failed"] else name


def _put_labels(points, box):
    """Gives each point `label_x`, `label_y` (centre) and whether it needs a leader.

    One after the other, each label takes the nearest place where it covers no
    point and no label before it.
    """
    taken = [(p["x"], p["y"], MARKER, MARKER) for p in points]
    # Those on the front first: they may choose.
    for point in sorted(points, key=lambda p: p["dominated"]):
        size = np.array([len(point["label"]) * LETTER, LINE])
        angles = np.arange(24) * (2 * np.pi / 24)
        ways = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        reach = np.arange(9, 150, 6.0)
        steps = (reach[:, None, None] + size / 2) * ways
        places = np.array([point["x"], point["y"]]) + steps.reshape(-1, 2)
        cost = np.repeat(reach, len(ways)) + 1000 * _covered(places, size, taken)
        edges = np.array([[box["left"], 0], [box["right"], box["bottom"]]])
        outside = (places - size / 2 < edges[0]) | (places + size / 2 > edges[1])
        cost += 1e6 * outside.any(axis=1)
        best = int(cost.argmin())
        point["label_x"], point["label_y"] = (float(value) for value in places[best])
        point["leader"] = bool(np.repeat(reach, len(ways))[best] > 12)
        taken.append((*places[best], *size))


def _covered(places, size, taken):
    """Area that a box of `size` at each place shares with the taken boxes."""
    taken = np.array(taken)
    reach = (size + taken[:, 2:]) / 2
    shared = reach - np.abs(places[:, None] - taken[:, :2])
    return np.prod(np.clip(shared, 0, None), axis=2).sum(axis=1)
