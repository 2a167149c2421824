"""Numbers -> where to draw them: geometry only, in pixels of an SVG."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from distill.config import roles
from distill.runtime import formats

LINE = 14  # Height of a label in pixels.
LETTER = 6.2  # Mean width of a letter of a label.
MARKER = 12  # Width and height of a point.


def dominated(size: Sequence[float], accuracy: Sequence[float]) -> np.ndarray:
    """Which models another one beats: no larger, no worse, and not equal in both.

    Args:
        size: Bytes, `(n,)`.
        accuracy: Percent, `(n,)`.

    Returns:
        bool, `(n,)`.
    """
    size, accuracy = np.asarray(size, float), np.asarray(accuracy, float)
    smaller = size[None] <= size[:, None]
    better = accuracy[None] >= accuracy[:, None]
    equal = (size[None] == size[:, None]) & (accuracy[None] == accuracy[:, None])
    return (smaller & better & ~equal).any(axis=1)


@dataclasses.dataclass(frozen=True)
class Measure:
    """What accuracy is weighed against.

    Attributes:
        key: In a model of `report.json`.
        title: For people.
        text: A value, written for an axis.
    """

    key: str
    title: str
    text: Callable[[float], str]

    def of(self, model: dict) -> float | None:
        """A model's value; None if it has none."""
        value = model[self.key]
        return value["median"] if isinstance(value, dict) else value


MEASURES = {
    "bytes": Measure("bytes", "size of the file", formats.file_size),
    "gzip_bytes": Measure(
        "gzip_bytes", "size of the file through gzip", formats.file_size
    ),
    "macs": Measure("macs", "multiply-adds for one image", formats.short),
    "latency_ms": Measure("latency_ms", "milliseconds for one image", formats.plain),
    "latency_all_threads_ms": Measure(
        "latency_all_threads_ms",
        "milliseconds for one image, all threads",
        formats.plain,
    ),
}


def beaten(models: Sequence[dict], measure: Measure) -> dict[str, bool]:
    """Name of each model that has the measure to whether it is on no front.

    A failed model is on none, and beats none.

    Args:
        models: As in `report.json`.
        measure: What accuracy is weighed against.
    """
    measured = [model for model in models if measure.of(model)]
    sound = [model for model in measured if not model["failed"]]
    found = dominated([measure.of(m) for m in sound], [m["accuracy"] for m in sound])
    names = (model["name"] for model in sound)
    known = dict(zip(names, map(bool, found), strict=True))
    return {model["name"]: known.get(model["name"], True) for model in measured}


def front(
    models: Sequence[dict],
    limit: float | None,
    width: int,
    height: int,
    *,
    measure: Measure = MEASURES["bytes"],
) -> dict:
    """Accuracy against bytes or another measure, the x axis in logarithms.

    A failed model dominates none, is on no front, and does not stretch the y
    axis: if it lies below, it is drawn at the lower edge.

    Args:
        models: As in `report.json`; those without finite numbers, or without the
            measure, are left out.
            A `family` of its own goes before what the name says.
        limit: Percent; a line is drawn there, unless it is None.
        width: Pixels.
        height: Pixels.
        measure: What is on the x axis.

    Returns:
        For the template: `points`, `line` (corners of the front), `limits`, none
        or one, both axes' ticks, and `measure`.
    """
    models = [
        model
        for model in models
        if math.isfinite(model["accuracy"]) and measure.of(model)
    ]
    sound = [model for model in models if not model["failed"]]
    lines = [] if limit is None else [limit]
    seen = [*lines, *(model["accuracy"] for model in sound)]
    seen = seen or [model["accuracy"] for model in models]
    lowest, highest = min(seen), max(seen)
    margin = max(0.08 * (highest - lowest), 0.05)
    box = {"left": 46, "right": width - 12, "top": 14, "bottom": height - 40}
    sizes = [measure.of(model) for model in models]
    x = axis(min(sizes) / 1.3, max(sizes) * 1.3, box["left"], box["right"], log=True)
    y = axis(lowest - margin, highest + margin, box["bottom"], box["top"])
    on_none = beaten(models, measure)
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
    _put_labels(points, box, [y["at"](line) for line in lines])
    best = sorted((p for p in points if not p["dominated"]), key=lambda p: p["x"])
    # A step: up to the next file's size, the smaller file is the best there is.
    line = [(a["x"], b["y"]) for a, b in zip(best[1:], best, strict=False)]
    corners = [(p["x"], p["y"]) for p in best] + line
    corners.sort(key=lambda corner: (corner[0], -corner[1]))
    return {
        **{"width": width, "height": height, "box": box, "points": points},
        **{"line": corners, "limits": [y["at"](line) for line in lines]},
        **{"x": x, "y": y, "measure": measure},
    }


def curves(
    series: dict[str, list[float]], width: int, height: int, *, log: bool
) -> dict:
    """Lines over epochs; the value of epoch 1 is drawn at 1.

    Args:
        series: Name to one value an epoch, all of one length; what is no finite
            number is a gap.
        width: Pixels.
        height: Pixels.
        log: Whether the y axis may be in logarithms: it is where the positive
            values span more than a factor of 30. Others are gaps then.

    Returns:
        For the template: `lines`, name to a list of unbroken pieces, each a
        list of `(x, y)`, and both axes.
    """
    values = np.array([*series.values()], float)
    seen = values[np.isfinite(values)]
    positive = seen[seen > 0]
    log = log and len(positive) > 0 and positive.max() > 30 * positive.min()
    seen = positive if log else seen
    low, high = (seen.min(), seen.max()) if len(seen) else (0.0, 1.0)
    frame = _frame(width, height, _padded(low, high, log), values.shape[1], log=log)
    x, y = frame["x"], frame["y"]
    lines = {}
    for name, row in zip(series, values, strict=True):
        shown = np.isfinite(row) & ((row > 0) | (not log))
        runs = np.split(np.arange(len(row)), np.flatnonzero(np.diff(shown)) + 1)
        lines[name] = [
            [(x["at"](epoch + 1), y["at"](row[epoch])) for epoch in piece]
            for piece in runs
            if shown[piece[0]]
        ]
    return {**frame, "lines": lines}


def shares(
    curves: dict[str, list[tuple[float, float]]], width: int, height: int
) -> dict:
    """Accuracy against the share of made examples, from none to all.

    Args:
        curves: See `distill.shares.curves`; at least one.
        width: Pixels.
        height: Pixels.

    Returns:
        As `curves`, for the same template.
    """
    seen = [accuracy for points in curves.values() for _, accuracy in points]
    ends = _padded(min(seen), max(seen), False)
    frame = _frame(width, height, ends, 1, whole=False)
    x, y = frame["x"], frame["y"]
    lines = {
        name: [[(x["at"](share), y["at"](accuracy)) for share, accuracy in points]]
        for name, points in curves.items()
    }
    return {**frame, "title": "Accuracy, %", "lines": lines}


def _frame(width, height, ends, last, *, log=False, whole=True):
    """Size, box and axes of a chart of lines; the x axis goes from 0 to `last`."""
    box = {"left": 42, "right": width - 8, "top": 18, "bottom": height - 22}
    return {
        "width": width,
        "height": height,
        "box": box,
        "x": axis(0, last, box["left"], box["right"], whole=whole),
        "y": axis(*ends, box["bottom"], box["top"], log=log),
    }


def axis(
    low: float,
    high: float,
    start: float,
    end: float,
    *,
    log: bool = False,
    whole: bool = False,
) -> dict[str, Any]:
    """One axis.

    Args:
        low: The value at `start`; positive if `log`.
        high: The value at `end`; larger.
        start: Pixels.
        end: Pixels.
        log: Whether equal ratios, not differences, are equally far apart.
        whole: Whether ticks must be whole numbers.

    Returns:
        `at`, value to pixels; `ticks`, round values; and `low`.
    """
    a, b = (math.log(low), math.log(high)) if log else (low, high)

    def at(value):
        return start + ((math.log(value) if log else value) - a) / (b - a) * (
            end - start
        )

    ticks = _log_ticks(low, high) if log else _ticks(low, high, whole)
    return {"at": at, "ticks": ticks, "low": low}


def _ticks(low, high, whole):
    """About five multiples of 1, 2 or 5 times a power of ten."""
    least = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= least * 0.999)
    step = max(step, 1.0) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def _log_ticks(low, high):
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high < 300 * low else (1,)
    ticks = [factor * 10.0**power for power in powers for factor in factors]
    stride = -(-len(powers) // 6) if len(factors) == 1 else 1
    return [tick for tick in ticks if low <= tick <= high][::stride]


def _padded(low, high, log):
    """Room above and below, so that no line runs on the frame."""
    if log:
        return low / (high / low) ** 0.05, high * (high / low) ** 0.05
    room = 0.06 * (high - low) or max(abs(high), 1.0) * 0.1
    return low - room, high + room


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


def _put_labels(points, box, limits):
    """Gives each point `label_x`, `label_y` (centre) and whether it needs a leader.

    One after the other, each label takes the nearest place where it covers no
    point, no label before it and not the limit's words.
    """
    taken = [(p["x"], p["y"], MARKER, MARKER) for p in points]
    taken += [(box["left"] + 70, limit + LINE / 2, 140, LINE) for limit in limits]
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
