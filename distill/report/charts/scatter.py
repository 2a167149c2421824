"""The scatter chart of accuracy against size: geometry only, in pixels of an SVG."""

import math
from collections.abc import Sequence

import numpy as np

from distill.config import reference, roles
from distill.report.charts import axes, pareto, scores

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
    """A chart of accuracy against bytes or another measure on a logarithmic x axis.

    A failed model dominates no other, is not on the front, and does not extend the y
    axis: if it is below, it is drawn at the lower edge.

    Args:
        models: The models of `report.json`. Those without a finite accuracy or the
            measure are left out. A key `family`, if present, replaces the family that
            follows from the name.
        width: Width in pixels.
        height: Height in pixels.
        measure: The measure on the x axis.

    Returns:
        For the template: `points`, `line` (the corners of the front), both axes, and
        `measure`.
    """
    models = [
        model
        for model in models
        if math.isfinite(scores.of_test(model)) and measure.of(model)
    ]
    sound = [model for model in models if not model["failed"]]
    # If all have failed, they share the axis; there is no front then.
    accuracies = [scores.of_test(model) for model in sound or models]
    lowest, highest = min(accuracies), max(accuracies)
    margin = max(0.08 * (highest - lowest), 0.05)
    box = {"left": 46, "right": width - 12, "top": 14, "bottom": height - 40}
    sizes = [measure.of(model) for model in models]
    x = axes.axis(
        min(sizes) / 1.3, max(sizes) * 1.3, box["left"], box["right"], log=True
    )
    y = axes.axis(lowest - margin, highest + margin, box["bottom"], box["top"])
    beaten = pareto.beaten(models, measure)
    points = [
        {
            "model": model,
            "x": x["at"](measure.of(model)),
            "y": float(np.clip(y["at"](scores.of_test(model)), 0, box["bottom"])),
            "below": scores.of_test(model) < y["low"],
            "dominated": beaten[model["name"]],
            "label": _label(model),
            "family": model.get("family") or family(model["name"]),
        }
        for model in models
    ]
    _put_labels(points, box)
    best = sorted((p for p in points if not p["dominated"]), key=lambda p: p["x"])
    # A step function: up to the size of the next file, the smaller one is the best.
    line = [(a["x"], b["y"]) for a, b in zip(best[1:], best, strict=False)]
    corners = [(p["x"], p["y"]) for p in best] + line
    corners.sort(key=lambda corner: (corner[0], -corner[1]))
    return {
        **{"width": width, "height": height, "box": box, "points": points},
        **{"line": corners, "x": x, "y": y, "measure": measure},
    }


def family(name: str) -> str:
    """The family of a model, which sets its marker.

    It is `teacher`, `student`, `control` or `reference`. Assistants and co-teachers
    belong to the teachers.

    Args:
        name: The model's name in `report.json`, such as `student.int8`.
    """
    if reference.is_reference(name):
        return "reference"
    first = name.split(".")[0]
    if not roles.is_reserved(first):
        return "control"
    return "student" if first == "student" else "teacher"


def _label(model):
    """The variant of a student's file, or the name of another model."""
    name = model["name"].removeprefix("student.")
    reached = scores.of_test(model)
    return f"{name} (failed, {reached:.1f} %)" if model["failed"] else name


def _put_labels(points, box):
    """Sets `label_x` and `label_y`, the centre, and `leader` of each point.

    Greedily: each label takes the nearest position at which it covers no point and no
    earlier label. A `leader`, a line to the point, is drawn from a distance on.
    """
    boxes = [(p["x"], p["y"], MARKER, MARKER) for p in points]
    # Points on the front first: they get the nearest positions.
    for point in sorted(points, key=lambda p: p["dominated"]):
        size = np.array([len(point["label"]) * LETTER, LINE])
        angles = np.arange(24) * (2 * np.pi / 24)
        directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        distances = np.arange(9, 150, 6.0)
        offsets = (distances[:, None, None] + size / 2) * directions
        centres = np.array([point["x"], point["y"]]) + offsets.reshape(-1, 2)
        distance = np.repeat(distances, len(directions))
        # The weights make an overlap worse than any distance, and a label that leaves
        # the chart worse than any overlap.
        cost = distance + 1000 * _overlap(centres, size, boxes)
        edges = np.array([[box["left"], 0], [box["right"], box["bottom"]]])
        outside = (centres - size / 2 < edges[0]) | (centres + size / 2 > edges[1])
        cost += 1e6 * outside.any(axis=1)
        best = int(cost.argmin())
        point["label_x"], point["label_y"] = (float(value) for value in centres[best])
        point["leader"] = bool(distance[best] > 12)
        boxes.append((*centres[best], *size))


def _overlap(centres, size, boxes):
    """The area that a label of `size` at each centre shares with the boxes."""
    boxes = np.array(boxes)
    reach = (size + boxes[:, 2:]) / 2
    overlap = reach - np.abs(centres[:, None] - boxes[:, :2])
    return np.prod(np.clip(overlap, 0, None), axis=2).sum(axis=1)
