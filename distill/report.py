"""The numbers of a run -> a table for the console, a page for the browser."""

import base64
import math
import textwrap
from collections.abc import Callable, Sequence

import jinja2
import numpy as np
import tabulate
import yaml

from distill import charts, layered, pictures, shares
from distill.compress.search import budget
from distill.runtime import formats

WIDTH = 100  # Columns of the console's table.
WRONG = 48  # Most wrong answers shown.
HUES = 8  # Colours of lines in the style sheet.


def smallest(models: Sequence[dict]) -> dict | None:
    """The smallest exported student that broke no promise; `None` if there is none.

    Of two files of one size, the more accurate.

    Args:
        models: As in `report.json`.
    """
    passing = [
        model
        for model in models
        if model["name"].startswith("student.") and not model["failed"]
    ]
    return min(passing, key=lambda m: (m["bytes"], -m["accuracy"]), default=None)


def table(report: dict) -> str:
    """Every model in one line, within 100 columns; below, what the marks mean.

    Args:
        report: As in `report.json`. Sizes are shown in kB of 1000 bytes.
    """
    chosen = smallest(report["models"])
    rows, notes = [], []
    for model in report["models"]:
        mark = "x" if model["failed"] else "*" if model is chosen else ""
        rows.append([mark, model["name"], *_cells(model)])
        notes += [f"x {model['name']} failed: {why}" for why in model["failed"]]
    if chosen:
        notes.insert(0, "* the smallest file that passes")
    headers = ["acc %", "agree %", "kB", "gzip kB", "params", "MACs", "zeros %", "ms"]
    lines = tabulate.tabulate(
        rows,
        headers=["", "model", *headers],
        colalign=["left", "left", *["right"] * len(headers)],
        disable_numparse=True,
        # A name that is longer goes on in the next line.
        maxcolwidths=[None, 24, *[None] * len(headers)],
    )
    notes += [
        f"{row['section']}: teacher, then student "
        f"{formats.percent(row['teacher_first'])} %; student, then teacher "
        f"{formats.percent(row['student_first'])} %"
        for row in report["stitched"]
    ]
    notes.append(layered.line(report["models"]))
    wrapped = [textwrap.fill(note, WIDTH, subsequent_indent="  ") for note in notes]
    return "\n".join(filter(None, [lines, *wrapped]))


def html(report: dict, wrong: Sequence[tuple[np.ndarray | str, str, str, str]]) -> str:
    """The report as one page that needs nothing else: no file, script or network.

    Args:
        report: As in `report.json`.
        wrong: What `smallest` gets wrong and the teacher right: image, float in
            [0, 1], `(height, width, channels)`, or text; true class; the file's
            answer; the teacher's.
    """
    models = report["models"]
    by_name = {model["name"]: model for model in models}
    chosen = smallest(models)
    teacher = by_name.get("teacher", by_name["student"])
    limit = by_name["student"]["accuracy"] - report["run"]["max_accuracy_drop"]
    shared = share_charts(
        {"Test split": report["run"]}, lambda _, name: by_name[name]["accuracy"]
    )
    return template("report.html").render(
        report=report,
        chosen=chosen,
        subject=chosen or by_name["student"],
        # Who is compared with: the student itself, where nobody taught it.
        teacher=teacher,
        whom="the teacher" if "teacher" in by_name else "the float model",
        student=by_name["student"],
        baseline=by_name.get("teacher.float32", teacher),
        fronts=fronts(models, limit),
        training=_training(report["stages"]),
        classes=_classes(report, chosen),
        layered=layered.table(models),
        tried=budget.rows(report["search"]) if report.get("search") else [],
        wrong=[(_source(look), *words) for look, *words in wrong[:WRONG]],
        missed=len(wrong),
        config=yaml.safe_dump(report["run"], sort_keys=False),
        hues=_hues(report["stages"]) | share_hues(shared),
        shares=shared,
    )


def share_charts(
    runs: dict[str, dict], accuracy: Callable[[str, str], float]
) -> dict[str, dict]:
    """Charts of accuracy against the share of made examples.

    Args:
        runs: Title of a chart to a run, as in `report.json`.
        accuracy: Called with a title and the name of a learner; percent.

    Returns:
        Title to chart, of those runs that hold such a curve.
    """
    found = {
        title: shares.curves(run, lambda name, title=title: accuracy(title, name))
        for title, run in runs.items()
    }
    return {
        title: charts.shares(curves, 360, 200)
        for title, curves in found.items()
        if curves
    }


def share_hues(shared: dict[str, dict]) -> dict[str, int]:
    """Name of each line in `share_charts` to a colour."""
    names = dict.fromkeys(name for chart in shared.values() for name in chart["lines"])
    return {name: 1 + index % (HUES - 1) for index, name in enumerate(names)}


def template(name: str) -> jinja2.Template:
    """A page of `distill/templates/`; every value is escaped, none may be missing."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("distill"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["points"] = _points
    environment.globals["formats"] = formats
    environment.globals["share"] = _share
    return environment.get_template(name)


def fronts(models: Sequence[dict], limit: float | None) -> list[dict]:
    """`charts.front` for a wide window and for a narrow one."""
    return [charts.front(models, limit, *size) for size in ((960, 420), (340, 400))]


def _cells(model):
    return [
        formats.percent(model["accuracy"]),
        formats.percent(model["agreement_with_teacher"]),
        formats.kilobytes(model["bytes"]),
        formats.kilobytes(model["gzip_bytes"]),
        formats.whole(model["parameters"]),
        formats.short(model["macs"]),
        formats.percent(100 * model["sparsity"], 1),
        formats.milliseconds(model["latency_ms"]),
    ]


def _source(look):
    """What the page shows: a text itself, an image as the address of its bytes."""
    return look if isinstance(look, str) else data_uri(look)


def data_uri(image: np.ndarray) -> str:
    """An image, as of `pictures.png`, to stand in a page itself."""
    return "data:image/png;base64," + base64.b64encode(pictures.png(image)).decode()


def _share(value):
    """A share in [0, 1] in percent, to three digits."""
    return formats.plain(None if value is None else 100 * value)


def _points(piece):
    """The points of a line, for SVG's `points`."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in piece)


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
        **charts.curves(shown, 360, 200, log=title in ("Loss", "Gradient norm")),
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


def _classes(report, chosen):
    """Accuracy of each class for the models that matter: a table of dots."""
    named = ("teacher", "student", *(c["name"] for c in report["run"]["controls"]))
    models = [m for m in report["models"] if m["name"] in named or m is chosen]
    rows = [
        {"name": name, "values": values}
        for name, *values in zip(
            report["data"]["class_names"],
            *(model["per_class_accuracy"] for model in models),
            strict=True,
        )
    ]
    seen = [v for row in rows for v in row["values"] if v is not None]
    # The scale begins at the ten below the worst, to show differences.
    low = 10 * math.floor(min([*seen, 90]) / 10)
    return {"models": models, "rows": rows, "low": low}
