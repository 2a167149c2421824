"""Scores of sets of examples -> a table for the console, a page for the browser."""

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
    """What students learned of each set, then how like the measured split it is.

    Args:
        scores: As in `score.json`.
    """
    pieces = [
        _grid(scores, HEADERS, learned),
        textwrap.fill(learned_note(scores), console.WIDTH),
        "",
        _grid(scores, LIKENESS.values(), likeness),
        textwrap.fill(likeness_note(scores), console.WIDTH),
    ]
    return "\n".join(pieces)


def html(scores: Mapping) -> str:
    """The scores as one page that needs nothing else.

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
                ("What a student learns of each set", HEADERS, learned, learned_note),
                (
                    f"How like the {split} split",
                    LIKENESS.values(),
                    likeness,
                    likeness_note,
                ),
            )
        ],
        config=yaml.safe_dump(scores["run"], sort_keys=False),
    )


def learned(row: Mapping) -> list[str]:
    """The cells of a row under `HEADERS`."""
    score = row["tsc_score"] or {"mean": None, "sd": None}
    difference = row["to_real"]
    to_real = [formats.NOTHING] * 2
    if row["name"] != "real":
        to_real = [
            formats.signed(difference["mean"]),
            intervals.interval(difference),
        ]
    return [
        formats.percent(score["mean"], 3),
        formats.percent(score["sd"], 3),
        formats.percent(row["accuracy"]["mean"]),
        formats.percent(row["accuracy"]["sd"]),
        *to_real,
    ]


def likeness(row: Mapping) -> list[str]:
    """The cells of a row under `LIKENESS`."""
    return [formats.percent(row[name]["mean"], 3) for name in LIKENESS]


def learned_note(scores: Mapping) -> str:
    """What the first table says, and what its interval covers."""
    stage = scores["stage"]
    return (
        "TSC score: (accuracy - most frequent class) / (accuracy of real - most "
        f"frequent class), seed by seed; the most frequent class of training gets "
        f"{formats.percent(scores['mode_accuracy'])} % of the "
        f"{scores['data']['split']} split, the teacher "
        f"{formats.percent(scores['teacher_accuracy'])} %. Each student is the run's, "
        f"taught by the teacher alone on {formats.whole(scores['examples'])} examples, "
        f"by kd ({stage['trainer']['options']['match']}), {stage['optimizer']} from a "
        f"rate of {stage['learning_rate']:g}. To real: points of accuracy, paired by "
        f"seed; the interval is Student's t over {len(scores['seeds'])} of them. It "
        "covers what another student and other draws would change, not another "
        "generator or teacher."
    )


def likeness_note(scores: Mapping) -> str:
    """What the second table says."""
    return (
        f"In features of the run's teacher ({scores['features']}), not of Inception: "
        "numbers of another teacher cannot be compared with these. Reference: the "
        f"{scores['data']['split']} split; {formats.whole(scores['compared'])} "
        "examples of each set. Classifier "
        "score: exp of the mean divergence of the teacher's classes from their mean, "
        "higher is better. Fréchet: distance of the two sets, lower is better. Real "
        "training data, which the teacher has seen, show what can be had. Means over "
        "seeds."
    )


def _grid(scores, headers, cells):
    return tabulate.tabulate(
        [[row["title"], *cells(row)] for row in scores["rows"]],
        headers=["examples", *headers],
        colalign=["left", *["right"] * len(headers)],
        disable_numparse=True,
    )
