"""The table of a run's models for the console."""

import textwrap

import numpy as np
import tabulate

from distill.measure import latency
from distill.report import certificates, layer_errors, micro, references
from distill.report.charts import pareto
from distill.runtime import formats

WIDTH = 100  # Columns of the console's table.


def table(report: dict) -> str:
    """A table with one row for each model, and notes that explain its marks.

    It is at most 100 columns wide; sizes are in kB of 1000 bytes.

    Args:
        report: The content of `report.json`.
    """
    chosen = pareto.smallest(report["models"])
    rows, notes = [], []
    for model in report["models"]:
        mark = "x" if model["failed"] else "*" if model is chosen else ""
        rows.append([mark, model["name"], *_cells(model)])
        notes += [f"x {model['name']} failed: {why}" for why in model["failed"]]
    if chosen:
        runs = " and runs in TFLite Micro" if "micro" in chosen else ""
        notes.insert(
            0, f"* the smallest file that passes on the validation split{runs}"
        )
    notes += references.lines(report["models"])
    notes.insert(0, f"packed: {formats.PACKED}")
    headers = [
        "acc %",
        "agree %",
        "kB",
        "gzip kB",
        "pack kB",
        "MACs",
        "zeros %",
        "ms",
    ]
    lines = tabulate.tabulate(
        rows,
        headers=["", "model", *headers],
        colalign=["left", "left", *["right"] * len(headers)],
        disable_numparse=True,
        # A longer name is continued on the next line.
        maxcolwidths=[None, 24, *[None] * len(headers)],
    )
    notes += [
        f"{row['section']}: teacher, then student "
        f"{formats.percent(row['teacher_first'])} %; student, then teacher "
        f"{formats.percent(row['student_first'])} %"
        for row in report["stitched"]
    ]
    notes += certificates.lines(report["models"])
    notes.append(layer_errors.line(report["models"]))
    notes.append(_spread(report["models"]))
    notes.append(formats.not_counted(report["models"]))
    table, *more = micro.table(report["models"]) or [""]
    more.append(micro.note(report["models"]))
    parts = [lines, *map(_wrap, notes), table, *map(_wrap, more)]
    return "\n".join(filter(None, parts))


def _wrap(note):
    return textwrap.fill(note, WIDTH, subsequent_indent="  ")


def _spread(models):
    """How far apart two latencies must be to differ."""
    timed = [model["latency_ms"] for model in models if model["latency_ms"]]
    spreads = [np.ptp(latency.bounds(one)) / one["median"] for one in timed]
    if not spreads:
        return ""
    width = f"{100 * max(spreads):.1f} %"
    return (
        f"ms: medians, whose intervals are up to {width} wide; where two overlap, "
        "neither file is faster"
    )


def _cells(model):
    return [
        formats.percent(model["accuracy"]),
        formats.percent(model["agreement_with_teacher"]),
        formats.kilobytes(model["bytes"]),
        formats.kilobytes(model["gzip_bytes"]),
        formats.kilobytes(model["packed_bytes"]),
        formats.macs(model),
        formats.percent(model["sparsity"] and 100 * model["sparsity"], 1),
        formats.milliseconds(model["latency_ms"]),
    ]
