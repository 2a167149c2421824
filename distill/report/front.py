"""Which files of a run are worth having: no other is as small and as accurate."""

import csv
import io
import json
import pathlib
from collections.abc import Sequence

from distill.report import html
from distill.report.charts import pareto, scatter
from distill.runtime import files

WITHIN = 1.0  # Points of accuracy that the smallest file may be below its teacher.


def write(folder: pathlib.Path, result: dict) -> None:
    """Writes `front.json`, `front.csv` and `front.html` into a run's folder.

    Args:
        folder: Of the run.
        result: The report, as in `report.json`.
    """
    found = front(result["models"])
    page = html.template("front.html").render(
        report=result,
        found=found,
        chosen=next(
            (m for m in result["models"] if m["name"] == found["chosen"]), None
        ),
        charts_of={
            measure.title: scatter.front(result["models"], 480, 300, measure=measure)
            for measure in pareto.MEASURES.values()
            if any(measure.of(model) for model in result["models"])
        },
    )
    files.atomic_write(folder / "front.json", json.dumps(found, indent=1))
    files.atomic_write(folder / "front.csv", _csv(found["models"]))
    files.atomic_write(folder / "front.html", page)


def front(models: Sequence[dict]) -> dict:
    """What is dominated, in which measure, and what is small enough and still good.

    Args:
        models: As in `report.json`.

    Returns:
        `models`, one mapping a model: `name`, `file`, `accuracy` in percent of the
        test split, `validation_accuracy`, each of `pareto.MEASURES` (None where it
        was not measured), `failed`, and `dominated_in`, the measures in which another
        sound model is no larger and no less accurate on the test split, or the model
        is not sound; `chosen`, the smallest sound exported student that the validation
        split has within `within` points of `reference` (the teacher, or the student
        where there is none), or None.
    """
    rows = [
        {
            "name": model["name"],
            "file": model["file"],
            "accuracy": model["accuracy"],
            "validation_accuracy": model["validation_accuracy"],
            **{key: measure.of(model) for key, measure in pareto.MEASURES.items()},
            "failed": bool(model["failed"]),
            "dominated_in": [
                key
                for key, measure in pareto.MEASURES.items()
                if pareto.beaten(models, measure).get(model["name"])
            ],
        }
        for model in models
    ]
    reached = {model["name"]: model["validation_accuracy"] for model in models}
    reference = "teacher" if "teacher" in reached else "student"
    least = reached[reference] - WITHIN
    near = [model for model in models if model["validation_accuracy"] >= least]
    chosen = pareto.smallest(near)
    return {
        "models": rows,
        "reference": reference,
        "within": WITHIN,
        "chosen": chosen and chosen["name"],
    }


def _csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({**row, "dominated_in": " ".join(row["dominated_in"])})
    return text.getvalue()
