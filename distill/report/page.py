"""The web page of a run, `report.html`."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import yaml

from distill.report import certificates, compress_tables, confusion, layer_errors, micro
from distill.report.charts import (
    lines,
    pareto,
    scatter,
    synthetic_share,
    training_curves,
)
from distill.report.html import data_uri, template

WRONG = 48  # Largest number of misclassified examples on the page.


def html(report: dict, wrong: Sequence[tuple[np.ndarray | str, str, str, str]]) -> str:
    """The report as one self-contained page, without other files, scripts or network.

    Args:
        report: The content of `report.json`.
        wrong: The test examples that the chosen file misclassifies and the teacher
            does not: image, float in [0, 1], `(height, width, channels)`, or text;
            then the names of the true class, the file's class and the teacher's.
    """
    models = report["models"]
    by_name = {model["name"]: model for model in models}
    chosen = pareto.smallest(models)
    teacher = by_name.get("teacher", by_name["student"])
    sized = by_name["student"] if teacher["bytes"] is None else teacher
    shares = share_charts(
        {"Test split": report["run"]}, lambda _, name: by_name[name]["accuracy"]
    )
    return template("report.html").render(
        report=report,
        chosen=chosen,
        subject=chosen or by_name["student"],
        # The reference of all comparisons: the student itself without a teacher.
        teacher=teacher,
        whom="the teacher" if "teacher" in by_name else "the float model",
        student=by_name["student"],
        # A teacher that only answers has neither a size nor a cost.
        sized=sized,
        sized_whom="the teacher" if sized["name"] == "teacher" else "the float model",
        baseline=by_name.get("teacher.float32", sized),
        fronts=fronts(models),
        training=training_curves.charts(report["stages"]),
        classes=_classes(report, chosen),
        confused=confusion.table(report),
        certified=certificates.lines(models),
        layered=layer_errors.table(models),
        on_device=micro.rows(models),
        device_headers=micro.HEADERS,
        device_note=micro.note(models),
        trials=compress_tables.rows(report["search"]) if report.get("search") else [],
        wrong=[(_source(example), *classes) for example, *classes in wrong[:WRONG]],
        missed=len(wrong),
        config=yaml.safe_dump(report["run"], sort_keys=False),
        hues=training_curves.hues(report["stages"]) | share_hues(shares),
        shares=shares,
    )


def share_charts(
    runs: dict[str, dict], accuracy: Callable[[str, str], float]
) -> dict[str, dict]:
    """Charts of accuracy against the share of synthetic examples.

    Args:
        runs: Title of each chart to a run, as in `report.json`.
        accuracy: Maps a title and the name of a network to its accuracy in percent.

    Returns:
        Title to chart, for the runs that contain such a curve.
    """
    curves_of = {
        title: synthetic_share.curves(
            run, lambda name, title=title: accuracy(title, name)
        )
        for title, run in runs.items()
    }
    return {
        title: lines.shares(curves, 360, 200)
        for title, curves in curves_of.items()
        if curves
    }


def share_hues(shares: dict[str, dict]) -> dict[str, int]:
    """The number of a colour for each line of `share_charts`, by name."""
    names = dict.fromkeys(name for chart in shares.values() for name in chart["lines"])
    return {
        name: 1 + index % (training_curves.HUES - 1) for index, name in enumerate(names)
    }


def fronts(models: Sequence[dict]) -> list[dict]:
    """The chart `scatter.front` for a wide and for a narrow window."""
    return [scatter.front(models, *size) for size in ((960, 420), (340, 400))]


def _source(example):
    """An example for the page: a text as it is, an image as a URI."""
    return example if isinstance(example, str) else data_uri(example)


def _classes(report, chosen):
    """The accuracy on each class, of the teacher, student, controls and chosen file."""
    names = ("teacher", "student", *(c["name"] for c in report["run"]["controls"]))
    models = [m for m in report["models"] if m["name"] in names or m is chosen]
    rows = [
        {"name": name, "values": values}
        for name, *values in zip(
            report["data"]["class_names"],
            *(model["per_class_accuracy"] for model in models),
            strict=True,
        )
    ]
    finite = [v for row in rows for v in row["values"] if v is not None]
    # The scale starts at a multiple of 10 below the worst, to make differences visible.
    low = 10 * math.floor(min([*finite, 90]) / 10)
    return {"models": models, "rows": rows, "low": low}
