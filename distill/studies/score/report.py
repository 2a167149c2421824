"""Formats the scores as tables for the console and a page for the browser."""

import textwrap
from collections.abc import Mapping

import tabulate
import yaml

from distill.report import console
from distill.report.html import template
from distill.runtime import formats
from distill.studies import intervals

HEADERS = ("TSC score", "sd", "accuracy %", "sd", "to real", "95 % interval")
LIKENESS = {
    "classifier_score": "classifier score",
    "frechet_distance": "Fréchet",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
}


def table(scores: Mapping) -> str:
    """Formats what students learned from each set, and its likeness to real examples.

    Args:
        scores: As in `score.json`.
    """
    pieces = [
        _grid(scores, HEADERS, student_cells),
        textwrap.fill(student_note(scores), console.WIDTH),
        "",
        _grid(scores, LIKENESS.values(), likeness_cells),
        textwrap.fill(likeness_note(scores), console.WIDTH),
    ]
    return "\n".join(pieces)


def html(scores: Mapping) -> str:
    """Renders the scores as one self-contained page.

    Args:
        scores: As in `score.json`.
    """
    split = scores["data"]["split"]
    return template("score.html").render(
        scores=scores,
        tables=[
            {
                "title": title,
                "headers": list(headers),
                "rows": [(row["title"], cells(row)) for row in scores["rows"]],
                "note": note(scores),
            }
            for title, headers, cells, note in (
                (
                    "What a student learns from each set",
                    HEADERS,
                    student_cells,
                    student_note,
                ),
                (
                    f"Likeness to the {split} split",
                    LIKENESS.values(),
                    likeness_cells,
                    likeness_note,
                ),
            )
        ],
        config=yaml.safe_dump(scores["run"], sort_keys=False),
    )


def student_cells(row: Mapping) -> list[str]:
    """The cells of a row under `HEADERS`."""
    score = row["tsc_score"] or {"mean": None, "sd": None}
    difference = row["to_real"]
    # The real examples have no difference from themselves.
    to_real = [formats.NOTHING] * 2
    if row["name"] != "real":
        to_real = [
            formats.signed(difference["mean"]),
            intervals.format_interval(difference),
        ]
    return [
        formats.percent(score["mean"], 3),
        formats.percent(score["sd"], 3),
        formats.percent(row["accuracy"]["mean"]),
        formats.percent(row["accuracy"]["sd"]),
        *to_real,
    ]


def likeness_cells(row: Mapping) -> list[str]:
    """The cells of a row under `LIKENESS`."""
    return [formats.percent(row[name]["mean"], 3) for name in LIKENESS]


def student_note(scores: Mapping) -> str:
    """Explains the first table and what its interval covers."""
    stage = scores["stage"]
    return (
        "TSC score: (accuracy - most frequent class) / (accuracy of real - most "
        f"frequent class), for each seed; the most frequent class of training gets "
        f"{formats.percent(scores['mode_accuracy'])} % of the "
        f"{scores['data']['split']} split, the teacher "
        f"{formats.percent(scores['teacher_accuracy'])} %. Each student is the run's, "
        f"trained without labels on {formats.whole(scores['examples'])} examples "
        f"by kd ({stage['trainer']['options']['match']}), {stage['optimizer']} from a "
        f"rate of {stage['learning_rate']:g}. To real: points of accuracy, paired by "
        f"seed; the interval is Student's t over {len(scores['seeds'])} of them. It "
        "covers what another student and other draws would change, not another "
        "generator or teacher."
    )


def likeness_note(scores: Mapping) -> str:
    """Explains the second table."""
    return (
        f"In features of the run's teacher ({scores['features']}), not of Inception: "
        "numbers from another teacher cannot be compared with these. Reference: the "
        f"{scores['data']['split']} split; {formats.whole(scores['compared'])} "
        "examples of each set. Classifier "
        "score: exp of the mean divergence of the teacher's class probabilities from "
        "their mean, higher is better. Fréchet: distance of the two sets, lower is "
        "better. Real training data, which the teacher has seen, show what is "
        "attainable. Means over seeds."
    )


def _grid(scores, headers, cells):
    return tabulate.tabulate(
        [[row["title"], *cells(row)] for row in scores["rows"]],
        headers=["examples", *headers],
        colalign=["left", *["right"] * len(headers)],
        disable_numparse=True,
    )
