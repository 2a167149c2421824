"""The records of all seeds -> a table for the console, a page for the browser."""

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
    """What the seeds say together.

    Args:
        study: What was done.
        table: All its rows.
        records: As of `conductor.run_seed`, one a seed.

    Returns:
        The report, as in `report.json`: AUC in percent.
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
            _together(records, transfer.label(part), student.label)
            for student in study.students
            for part in study.transfers
        ],
        "seeds": list(records),
    }


def _together(records, name, student):
    """One student taught by one transfer set, over all seeds."""
    ours, train = _picked(records, name, student), _picked(records, "train", student)
    scores, reference = (
        [100 * record["auc"] for record in found] for found in (ours, train)
    )
    ratios = [
        mine["rows_per_second"] / record["teacher"]["rows_per_second"]
        for mine, record in zip(ours, records, strict=True)
    ]
    return {
        "student": student,
        "transfer": name,
        "rows": ours[0]["rows"],
        "auc": intervals.summary(scores),
        "over_train": intervals.paired_difference(
            scores,
            reference,
            # Every seed draws both anew from one table.
            test_to_train=records[0]["measured"] / records[0]["train"],
        ),
        "rows_per_second": intervals.summary([r["rows_per_second"] for r in ours]),
        "times_the_teacher": intervals.summary(ratios),
    }


def _picked(records, name, student):
    return [
        found
        for record in records
        for found in record["students"]
        if (found["transfer"], found["student"]) == (name, student)
    ]


def table(result: dict) -> str:
    """Every student in one line, within 100 columns.

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
                interval(difference),
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
    return f"{lines}\n{textwrap.fill(_measured(result), console.WIDTH)}"


def interval(difference: dict | None) -> str:
    """A paired difference in points, and its interval, such as `+1.20 [0.31, 2.09]`."""
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


def _measured(result):
    """Where the numbers come from, in a sentence."""
    data, study = result["data"], result["study"]
    count = len(result["seeds"])
    return (
        f"{count} {'seed' if count == 1 else 'seeds'}; {data['train']:,} rows to learn "
        f"from, {data['measured']:,} of the {study['measured_on']} split, drawn anew "
        f"by each from one table of {data['rows']:,}; intervals: corrected resampled t "
        "(Nadeau and Bengio, 2003); one core"
    )


def html(result: dict) -> str:
    """The report as one page that needs nothing else: no file, script or network.

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
        interval=interval,
        measured=_measured(result),
        config=yaml.safe_dump(result["study"], sort_keys=False),
    )
