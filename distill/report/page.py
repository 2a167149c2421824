"""The numbers of a run -> a table for the console, a page for the browser."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import yaml

from distill.report import (
    compress_tables,
    layer_errors,
    synthetic_share,
    training_curves,
)
from distill.report.charts import lines, pareto, scatter
from distill.report.html import data_uri, template

WRONG = 48  # Most wrong answers shown.


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
    chosen = pareto.smallest(models)
    teacher = by_name.get("teacher", by_name["student"])
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
        fronts=fronts(models),
        training=training_curves._training(report["stages"]),
        classes=_classes(report, chosen),
        layered=layer_errors.table(models),
        tried=compress_tables.rows(report["search"]) if report.get("search") else [],
        wrong=[(_source(look), *words) for look, *words in wrong[:WRONG]],
        missed=len(wrong),
        config=yaml.safe_dump(report["run"], sort_keys=False),
        hues=training_curves._hues(report["stages"]) | share_hues(shared),
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
        title: synthetic_share.curves(
            run, lambda name, title=title: accuracy(title, name)
        )
        for title, run in runs.items()
    }
    return {
        title: lines.shares(curves, 360, 200)
        for title, curves in found.items()
        if curves
    }


def share_hues(shared: dict[str, dict]) -> dict[str, int]:
    """Name of each line in `share_charts` to a colour."""
    names = dict.fromkeys(name for chart in shared.values() for name in chart["lines"])
    return {
        name: 1 + index % (training_curves.HUES - 1) for index, name in enumerate(names)
    }


def fronts(models: Sequence[dict]) -> list[dict]:
    """`scatter.front` for a wide window and for a narrow one."""
    return [scatter.front(models, *size) for size in ((960, 420), (340, 400))]


def _source(look):
    """What the page shows: a text itself, an image as the address of its bytes."""
    return look if isinstance(look, str) else data_uri(look)


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
