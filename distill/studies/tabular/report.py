"""Gathers the records of all seeds, and formats them for console and browser."""

import textwrap
from collections.abc import Sequence

import tabulate
import yaml

from distill import config
from distill.report import console
from distill.report.html import template
from distill.runtime import formats, versions
from distill.studies import intervals
from distill.studies.tabular import transfer
from distill.studies.tabular.rows import Rows
from distill.studies.tabular.study import Study


def gather(study: Study, table: Rows, records: Sequence[dict]) -> dict:
    """Gathers the records of all seeds into one report.

    Args:
        study: The config.
        table: All rows of the data.
        records: What `conductor.run_seed` returned for each seed.

    Returns:
        The report, as in `report.json`; AUC is in percent.
    """
    teacher = {
        "auc": intervals.summary([100 * r["teacher"]["auc"] for r in records]),
        "rows_per_second": intervals.summary(
            [r["teacher"]["rows_per_second"] for r in records]
        ),
    }
    return {
        "study": config.plain(study),
        "versions": versions.versions(),
        "machine": versions.machine(),
        "data": {
            "rows": len(table.labels),
            "features": table.features.shape[1],
            "class_names": list(table.class_names),
            "train": records[0]["train"],
            "measured": records[0]["measured"],
            "fingerprint": table.fingerprint(),
        },
        "warnings": table.warnings(),
        "teacher": teacher,
        "students": [
            _summarize(records, transfer.label(part), student.label)
            for student in study.students
            for part in study.transfers
        ],
        "seeds": list(records),
    }


def _summarize(records, name, student):
    """The summary of one student with one transfer set over all seeds."""
    ours, train = _select(records, name, student), _select(records, "train", student)
    scores, reference = (
        [100 * model["auc"] for model in models] for models in (ours, train)
    )
    ratios = [
        model["rows_per_second"] / record["teacher"]["rows_per_second"]
        for model, record in zip(ours, records, strict=True)
    ]
    return {
        "student": student,
        "transfer": name,
        "rows": ours[0]["rows"],
        "auc": intervals.summary(scores),
        "over_train": intervals.paired_difference(
            scores,
            reference,
            # Every seed draws its training and measured rows anew from one table.
            test_to_train=records[0]["measured"] / records[0]["train"],
        ),
        "rows_per_second": intervals.summary([r["rows_per_second"] for r in ours]),
        "times_the_teacher": intervals.summary(ratios),
    }


def _select(records, name, student):
    return [
        model
        for record in records
        for model in record["students"]
        if (model["transfer"], model["student"]) == (name, student)
    ]


def table(result: dict) -> str:
    """Formats every student in one line, within 100 columns.

    Args:
        result: As in `report.json`.
    """
    teacher = result["teacher"]
    rows = [["teacher", "", *_cells(teacher), "", "1"]]
    for model in result["students"]:
        difference = model["over_train"] if model["transfer"] != "train" else None
        rows.append(
            [
                model["student"],
                model["transfer"],
                *_cells(model),
                format_difference(difference),
                formats.plain(model["times_the_teacher"]["mean"]),
            ]
        )
    headers = ["AUC %", "sd", "rows/s", "over train, 95 %", "x teacher"]
    lines = tabulate.tabulate(
        rows,
        headers=["student", "learns from", *headers],
        colalign=["left", "left", *["right"] * len(headers)],
        disable_numparse=True,
    )
    return f"{lines}\n{textwrap.fill(_describe(result), console.WIDTH)}"


def format_difference(difference: dict | None) -> str:
    """A paired difference in points with its interval: `+1.20 [+0.31, +2.09]`."""
    if difference is None:
        return ""
    mean = f"{difference['mean']:+.2f}"
    if difference["low"] is None:
        return mean
    return f"{mean} [{difference['low']:+.2f}, {difference['high']:+.2f}]"


def _cells(model):
    return [
        formats.percent(model["auc"]["mean"]),
        formats.percent(model["auc"]["sd"]),
        formats.whole(model["rows_per_second"]["mean"]),
    ]


def _describe(result):
    """States what was measured, and how, in a sentence."""
    data, study = result["data"], result["study"]
    count = len(result["seeds"])
    return (
        f"{count} {'seed' if count == 1 else 'seeds'}; each draws {data['train']:,} "
        f"training rows and {data['measured']:,} of the {study['measured_on']} split "
        f"anew from one table of {data['rows']:,}; intervals: corrected resampled t "
        "(Nadeau and Bengio, 2003); speed on one core"
    )


def html(result: dict) -> str:
    """Renders the report as one self-contained page.

    Args:
        result: As in `report.json`.
    """
    students = list(dict.fromkeys(model["student"] for model in result["students"]))
    return template("tabular.html").render(
        result=result,
        groups=[
            (name, [m for m in result["students"] if m["student"] == name])
            for name in students
        ],
        interval=format_difference,
        measured=_describe(result),
        config=yaml.safe_dump(result["study"], sort_keys=False),
    )
