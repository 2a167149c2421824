"""Charts of the metrics over the epochs of training."""

import math
from collections.abc import Sequence

from distill.report.charts import lines

HUES = 8  # Number of colours for lines in the style sheet.


def charts(records: Sequence[dict]) -> list[dict]:
    """The charts of each model that was trained.

    The stages of a model follow each other on one axis of epochs; a metric of only
    some stages has gaps. Of the terms of the validation loss only the sum is drawn;
    TensorBoard shows them all.

    Args:
        records: The `stages` of `report.json`.

    Returns:
        For each model: `model`, its name; `stages`, its records; and `charts`, for
        the template.
    """
    trained = {}
    for record in records:
        # Conversions have no epochs, and so no chart.
        if record["epochs"]:
            trained.setdefault(record["model"], []).append(record)
    return [
        {"model": name, "stages": stages, "charts": _charts(stages)}
        for name, stages in trained.items()
    ]


def _charts(stages):
    series = _concatenate(stages)
    return [
        _chart(title, {name: series[name] for name in series if belongs(name)})
        for title, belongs in _PANELS.items()
        if any(map(belongs, series))
    ]


def _chart(title, series):
    percent = title.endswith("%")
    scaled = {
        name: [100 * value if percent else value for value in values]
        for name, values in series.items()
    }
    return {
        "title": title,
        "is_percent": percent,
        "last": {name: _last(values) for name, values in scaled.items()},
        **lines.curves(scaled, 360, 200, log=title in ("Loss", "Gradient norm")),
    }


def _is_adversarial(name):
    return name == "agreement" or "_accuracy_on_" in name


# Title of each chart to a predicate for the metrics in it.
_PANELS = {
    "Loss": lambda name: (
        name == "val_loss" or (name.endswith("loss") and not name.startswith("val_"))
    ),
    "Accuracy, %": lambda name: name.endswith("accuracy"),
    "Agreement with the teacher, %": lambda name: name.endswith(
        "agreement_with_teacher"
    ),
    "Stitched accuracy, validation, %": lambda name: name.startswith("stitched/"),
    "Agreement, and whom the discriminator recognises, %": lambda name: (
        _is_adversarial(name) and not name.startswith("val_")
    ),
    "Gradient norm": lambda name: name.endswith("gradient_norm"),
    "Learning rate": lambda name: name == "learning_rate",
}


def _concatenate(stages):
    """The values of each metric over all stages; NaN in stages without it."""
    names = dict.fromkeys(name for stage in stages for name in stage["metrics"])
    return {
        name: [
            value
            for stage in stages
            for value in stage["metrics"].get(name, [math.nan] * stage["epochs"])
        ]
        for name in names
    }


def _last(values):
    """The last finite value, or NaN."""
    return next((v for v in reversed(values) if math.isfinite(v)), math.nan)


def hues(records: Sequence[dict]) -> dict[str, int]:
    """The number of a colour for each metric, by name without `val_`.

    Args:
        records: The `stages` of `report.json`.
    """
    names = dict.fromkeys(
        name.removeprefix("val_") for record in records for name in record["metrics"]
    )
    main = [name for name in ("loss", "accuracy", "learning_rate") if name in names]
    others = [name for name in names if name not in (*main, "examples_per_second")]
    # Each of the main metrics has a chart of its own: they can share a colour.
    hues = dict.fromkeys(main, 0)
    return hues | {name: 1 + i % (HUES - 1) for i, name in enumerate(others)}
