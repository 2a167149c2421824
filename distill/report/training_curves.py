"""How training went: one chart a stage and metric."""

import math

from distill.report.charts import lines

HUES = 8  # Colours of lines in the style sheet.


def _training(records):
    """For each model that was trained, in order, its stages and three charts.

    The stages of one model follow each other on one axis of epochs, so that a
    term which only one stage has ends with it. Validation is drawn for the loss
    as a whole and the accuracy; TensorBoard has it for each term.
    """
    trained = {}
    for record in records:
        if record["epochs"]:
            trained.setdefault(record["model"], []).append(record)
    return [
        {"model": name, "stages": stages, "charts": _charts(stages)}
        for name, stages in trained.items()
    ]


def _charts(stages):
    series = _joined(stages)
    return [
        _chart(title, {name: series[name] for name in series if belongs(name)})
        for title, belongs in _PANELS.items()
        if any(map(belongs, series))
    ]


def _chart(title, series):
    percent = title.endswith("%")
    shown = {
        name: [100 * value if percent else value for value in values]
        for name, values in series.items()
    }
    return {
        "title": title,
        "is_percent": percent,
        "last": {name: _last(values) for name, values in shown.items()},
        **lines.curves(shown, 360, 200, log=title in ("Loss", "Gradient norm")),
    }


def _is_of_a_game(name):
    return name == "agreement" or "_accuracy_on_" in name


# Title of each chart to whether a metric belongs in it.
_PANELS = {
    "Loss": lambda name: (
        name == "val_loss" or (name.endswith("loss") and not name.startswith("val_"))
    ),
    "Accuracy, %": lambda name: name.endswith("accuracy"),
    "Stitched accuracy, validation, %": lambda name: name.startswith("stitched/"),
    "Agreement, and whom the discriminator recognises, %": lambda name: (
        _is_of_a_game(name) and not name.startswith("val_")
    ),
    "Gradient norm": lambda name: name.endswith("gradient_norm"),
    "Learning rate": lambda name: name == "learning_rate",
}


def _joined(stages):
    """Name of each metric to its values over all stages; NaN where it is not."""
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


def _hues(records):
    """Name of each metric to a colour; a metric and its `val_` share one."""
    names = dict.fromkeys(
        name.removeprefix("val_") for record in records for name in record["metrics"]
    )
    chief = [name for name in ("loss", "accuracy", "learning_rate") if name in names]
    others = [name for name in names if name not in (*chief, "examples_per_second")]
    hues = dict.fromkeys(chief, 0)
    return hues | {name: 1 + i % (HUES - 1) for i, name in enumerate(others)}
