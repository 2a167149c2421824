"""Line charts: metrics over epochs, accuracy over the share of synthetic examples."""

import numpy as np

from distill.report.charts import axes


def curves(
    series: dict[str, list[float]], width: int, height: int, *, log: bool
) -> dict:
    """A chart of metrics over epochs, the first of which is at 1.

    Args:
        series: Name to one value for each epoch, all of one length. Values that are
            not finite are gaps.
        width: Width in pixels.
        height: Height in pixels.
        log: Whether the y axis may be logarithmic. It is if the positive values span
            more than a factor of 30; other values are gaps then.

    Returns:
        For the template: `lines`, name to a list of unbroken pieces, each a list of
        `(x, y)`; and both axes.
    """
    values = np.array([*series.values()], float)
    finite = values[np.isfinite(values)]
    positive = finite[finite > 0]
    log = log and len(positive) > 0 and positive.max() > 30 * positive.min()
    visible = positive if log else finite
    low, high = (visible.min(), visible.max()) if len(visible) else (0.0, 1.0)
    frame = _frame(width, height, axes.pad(low, high, log), values.shape[1], log=log)
    x, y = frame["x"], frame["y"]
    lines = {}
    for name, row in zip(series, values, strict=True):
        mask = np.isfinite(row) & ((row > 0) | (not log))
        # Epochs split wherever a gap begins or ends: pieces and gaps alternate.
        pieces = np.split(np.arange(len(row)), np.flatnonzero(np.diff(mask)) + 1)
        lines[name] = [
            [(x["at"](epoch + 1), y["at"](row[epoch])) for epoch in piece]
            for piece in pieces
            if mask[piece[0]]
        ]
    return {**frame, "lines": lines}


def shares(
    curves: dict[str, list[tuple[float, float]]], width: int, height: int
) -> dict:
    """A chart of accuracy against the share of synthetic examples, from 0 to 1.

    Args:
        curves: See `synthetic_share.curves`; at least one.
        width: Width in pixels.
        height: Height in pixels.

    Returns:
        As the function `curves`, for the same template.
    """
    accuracies = [accuracy for points in curves.values() for _, accuracy in points]
    ends = axes.pad(min(accuracies), max(accuracies), False)
    frame = _frame(width, height, ends, 1, whole=False)
    x, y = frame["x"], frame["y"]
    lines = {
        name: [[(x["at"](share), y["at"](accuracy)) for share, accuracy in points]]
        for name, points in curves.items()
    }
    return {**frame, "title": "Accuracy, %", "lines": lines}


def _frame(width, height, ends, last, *, log=False, whole=True):
    """The size, box and axes of a line chart whose x axis goes from 0 to `last`."""
    box = {"left": 42, "right": width - 8, "top": 18, "bottom": height - 22}
    return {
        "width": width,
        "height": height,
        "box": box,
        "x": axes.axis(0, last, box["left"], box["right"], whole=whole),
        "y": axes.axis(*ends, box["bottom"], box["top"], log=log),
    }
