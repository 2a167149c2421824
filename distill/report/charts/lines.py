"""Lines over epochs or steps."""

import numpy as np

from distill.report.charts import axes


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
    frame = _frame(width, height, axes.padded(low, high, log), values.shape[1], log=log)
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
        curves: See `distill.report.synthetic_share.curves`; at least one.
        width: Pixels.
        height: Pixels.

    Returns:
        As `curves`, for the same template.
    """
    seen = [accuracy for points in curves.values() for _, accuracy in points]
    ends = axes.padded(min(seen), max(seen), False)
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
        "x": axes.axis(0, last, box["left"], box["right"], whole=whole),
        "y": axes.axis(*ends, box["bottom"], box["top"], log=log),
    }
