"""Formats a comparison as a table for the console and a page for the browser."""

import textwrap
from collections.abc import Sequence

import tabulate
import yaml

from distill.report import console, page
from distill.report.charts import axes
from distill.report.html import template
from distill.runtime import formats
from distill.studies import intervals

PLOT = 200  # Width of the plot of an interval, in pixels.


def table(comparison: dict) -> str:
    """Formats models over seeds, then differences, within 100 columns.

    Args:
        comparison: As in `compare.json`. Sizes are shown in kB of 1000 bytes.
    """
    has_arena = any("arena_bytes" in model for model in comparison["models"])
    models = [
        [
            "x" if model["failed"] else "",
            model["name"],
            formats.percent(model["accuracy"]["mean"]),
            formats.percent(model["accuracy"]["sd"]),
            formats.percent(model["agreement_with_teacher"]["mean"]),
            formats.kilobytes(model["bytes"]["mean"]),
            *([formats.kilobytes(arena(model))] if has_arena else []),
            formats.whole(model["updates"]),
        ]
        for model in comparison["models"]
    ]
    differences = [
        [
            d["of"],
            d["to"],
            formats.signed(d["mean"]),
            intervals.format_interval(d),
            verdict(d),
        ]
        for d in comparison["differences"]
    ]
    seeds = comparison["seeds"]
    sizes = ["kB", "arena kB"] if has_arena else ["kB"]
    headers = ["", "model", "acc %", "sd", "agree %", *sizes, "updates"]
    pieces = [
        _grid(models, headers, 36),
        f"Test accuracy over seeds {', '.join(map(str, seeds))}, mean and sd.",
        "",
        _grid(differences, ["student", "to", "points", "95 % interval", "zero"], 28),
        textwrap.fill(note(comparison), console.WIDTH),
    ]
    return "\n".join(pieces)


def arena(model: dict) -> float | None:
    """The mean arena of a file in TFLite Micro, in bytes; None if it has none."""
    return model["arena_bytes"]["mean"] if "arena_bytes" in model else None


def _grid(rows, headers, widest):
    """A table whose first two columns are text, wrapped at the widest."""
    others = len(headers) - 2
    return tabulate.tabulate(
        rows,
        headers=headers,
        colalign=["left", "left", *["right"] * others],
        disable_numparse=True,
        maxcolwidths=[widest, widest, *[None] * others],
    )


def verdict(difference: dict) -> str:
    """`clear` if zero is outside the interval, else `inside`; a dash without one."""
    if difference["low"] is None:
        return formats.NOTHING
    return "clear" if difference["clear_of_zero"] else "inside"


def note(comparison: dict) -> str:
    """Explains what the interval covers and what it does not."""
    return (
        "Points of test accuracy, paired by seed: a student and its controls share "
        "teacher, initial weights and batches. The interval is Student's t over "
        f"{len(comparison['seeds'])} seeds: it covers what another seed would change, "
        "not what other test images would, and each interval is at 95 % by itself. "
        "Differences that are all equal show no spread and have no interval."
    )


def html(comparison: dict) -> str:
    """Renders the comparison as one self-contained page with links to each run's.

    Args:
        comparison: As in `compare.json`.
    """
    shipped = [m for m in comparison["models"] if m["file"].endswith(".tflite")]
    points = [
        {
            **{key: model[key] for key in ("family", "file", "failed")},
            "name": model["name"].replace(".student.", "."),
            "accuracy": model["accuracy"]["mean"],
            "bytes": model["bytes"]["mean"],
        }
        for model in shipped or comparison["models"]
    ]
    means = {
        (model["config"], model["model"]): model["accuracy"]["mean"]
        for model in comparison["models"]
    }
    shared = page.share_charts(
        comparison["configs"], lambda config, name: means[config, name]
    )
    return template("compare.html").render(
        hues=page.share_hues(shared),
        shares=shared,
        comparison=comparison,
        chosen=None,
        fronts=page.fronts(points),
        shipped=bool(shipped),
        plot=_plot(comparison["differences"]),
        interval=intervals.format_interval,
        arena=arena,
        has_arena=any("arena_bytes" in model for model in comparison["models"]),
        verdict=verdict,
        note=note(comparison),
        configs={
            name: yaml.safe_dump(run, sort_keys=False)
            for name, run in comparison["configs"].items()
        },
    )


def _plot(differences: Sequence[dict]) -> dict:
    """The common axis of all intervals, which always includes zero."""
    ends = [d[key] for d in differences for key in ("low", "mean", "high")]
    ends = [0.0, *(end for end in ends if end is not None)]
    margin = 0.05 * (max(ends) - min(ends)) or 1.0
    return axes.axis(min(ends) - margin, max(ends) + margin, 0, PLOT)
