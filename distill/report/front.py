"""The Pareto front of a run's files: which are not dominated in size and accuracy."""

import csv
import io
import json
import pathlib
from collections.abc import Sequence

from distill.config.reference import is_reference
from distill.report import html
from distill.report.charts import pareto, scatter, scores
from distill.runtime import files

WITHIN = 1.0  # Points of accuracy that the chosen file may lose to the teacher.


def write(folder: pathlib.Path, result: dict) -> None:
    """Writes `front.json`, `front.csv` and `front.html` into a run's folder.

    Args:
        folder: The run's folder.
        result: The content of `report.json`.
    """
    summary = front(result["models"])
    page = html.template("front.html").render(
        report=result,
        summary=summary,
        chosen=next(
            (m for m in result["models"] if m["name"] == summary["chosen"]), None
        ),
        charts_of={
            measure.title: scatter.front(result["models"], 480, 300, measure=measure)
            for measure in pareto.measures(result["models"]).values()
            if any(measure.of(model) for model in result["models"])
        },
    )
    files.atomic_write(folder / "front.json", json.dumps(summary, indent=1))
    files.atomic_write(folder / "front.csv", _csv(summary["models"]))
    files.atomic_write(folder / "front.html", page)


def front(models: Sequence[dict]) -> dict:
    """Finds the measures in which models are dominated, and chooses a file.

    Args:
        models: The models of `report.json`.

    Returns:
        `models`, a dict for each model: `name`, `file`, `accuracy` in percent on the
        test split, `validation_accuracy`, each of `pareto.measures` (None if it was
        not measured), `failed`, and `dominated_in`: the measures in which another
        model that did not fail dominates it on the test split, or all for a failed
        model. `chosen`: name of the smallest exported student that did not fail and
        whose validation accuracy is at most `within` points below that of
        `reference`, or None. `reference`: `teacher`, or `student` without a teacher.
    """
    measures = pareto.measures(models)
    rows = [
        {
            "name": model["name"],
            "file": model["file"],
            "accuracy": model["accuracy"],
            "validation_accuracy": model["validation_accuracy"],
            **_agreements(model),
            **{key: measure.of(model) for key, measure in measures.items()},
            "failed": bool(model["failed"]),
            "dominated_in": [
                key
                for key, measure in measures.items()
                if pareto.beaten(models, measure).get(model["name"])
            ],
        }
        for model in models
    ]
    # The validation split decides: what the test split chose, it could not measure.
    accuracy = {
        model["name"]: scores.of_validation(model)
        for model in models
        if not is_reference(model["name"])
    }
    reference = "teacher" if "teacher" in accuracy else "student"
    least = accuracy[reference] - WITHIN
    own = [model for model in models if not is_reference(model["name"])]
    near = [model for model in own if accuracy[model["name"]] >= least]
    chosen = pareto.smallest(near)
    return {
        "models": rows,
        "reference": reference,
        "within": WITHIN,
        "chosen": chosen and chosen["name"],
    }


def _agreements(model):
    """What stands in the place of an accuracy that is unknown."""
    names = {
        "accuracy": "agreement_with_teacher",
        "validation_accuracy": "validation_agreement",
    }
    return {
        agreement: model[agreement]
        for known, agreement in names.items()
        if model[known] is None and agreement in model
    }


def _csv(rows):
    text = io.StringIO()
    # The default of `csv` is CRLF.
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({**row, "dominated_in": " ".join(row["dominated_in"])})
    return text.getvalue()
