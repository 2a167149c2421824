"""Means and differences of every model over several finished runs."""

from collections.abc import Sequence

from distill.config.reference import is_reference
from distill.report.charts import scores
from distill.runtime import formats
from distill.studies import intervals
from distill.studies.compare.groups import config_of, data_of

CHOOSING = ("validation_accuracy",)  # What a file is chosen by.
NUMBERS = ("accuracy", "bytes", "gzip_bytes", "packed_bytes", "macs", "sparsity")
TIMES = ("latency_ms", "latency_all_threads_ms")
ARENA = "arena_bytes"  # Only runs for TFLite Micro have it.


def aggregate(ours: Sequence[dict], theirs: Sequence[dict] = ()) -> list[dict]:
    """Computes means over runs for each model.

    Args:
        ours: Reports, as in `report.json`, of one seed each.
        theirs: Reports of the same seeds, in the same order, or none.

    Returns:
        One mapping for each model that all of `ours` have: `name`; `ships`, whether it
        is an exported file that failed in no run; each of `CHOOSING`, `NUMBERS` and
        `TIMES` (the median) as `intervals.summary`, None if a run lacks it, and
        likewise `ARENA` if any model has an arena;
        `minus_student`, in points of accuracy, as `intervals.paired_difference`,
        and `minus_theirs`, likewise, None if `theirs` has no such model.

    Raises:
        ValueError: If a seed occurs twice, or the seeds of the two groups differ; if
            config or data differ within a group, or data between the groups; if an
            accuracy is unknown.
    """
    seeds, others = ([r["run"]["seed"] for r in runs] for runs in (ours, theirs))
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"runs must be of different seeds. Received: {seeds}")
    if theirs and seeds != others:
        raise ValueError(
            "--against must be runs of the same seeds, in the same order. "
            f"Received: {others}, beside {seeds}"
        )
    if not all(scores.are_known(report["models"]) for report in (*ours, *theirs)):
        raise ValueError(
            "runs must have test examples with labels. Received: one whose accuracy is "
            "unknown"
        )
    for runs in (ours, theirs):
        if len({config_of(report) for report in runs}) > 1:
            raise ValueError("runs must be of one config and one data set, seeds apart")
    if theirs and data_of(ours[0]) != data_of(theirs[0]):
        raise ValueError("--against must be runs of the same data set")
    models, against = _by_name(ours), _by_name(theirs)
    known = any(ARENA in entry for entries in models.values() for entry in entries)
    keys = [*CHOOSING, *NUMBERS, *TIMES, *([ARENA] if known else [])]
    return [
        {
            "name": name,
            "ships": _ships(entries),
            **{key: _summary(entries, key) for key in keys},
            "minus_student": _difference(entries, models.get("student")),
            "minus_theirs": _difference(entries, against.get(name)),
        }
        for name, entries in models.items()
    ]


def _by_name(reports):
    """The entries of each model that all reports have, by its name."""
    runs = [{model["name"]: model for model in report["models"]} for report in reports]
    return {
        name: [run[name] for run in runs]
        for name in (runs[0] if runs else ())
        if all(name in run for run in runs)
    }


def _ships(entries):
    """Whether a model is an exported file that failed in no run."""
    return all(
        entry.get("file", "").endswith(".tflite")
        and not entry.get("failed")
        and not is_reference(entry["name"])
        for entry in entries
    )


def _summary(entries, key):
    values = [entry.get(key) for entry in entries]
    if any(value is None for value in values):
        return None
    if key in TIMES:
        # A latency is a mapping: the median over its rounds, and the interval.
        values = [value["median"] for value in values]
    return intervals.summary(values)


def _difference(entries, others):
    # The student has no difference from itself.
    if others is None or others is entries:
        return None
    return intervals.paired_difference(
        *([entry["accuracy"] for entry in side] for side in (entries, others))
    )


def best(rows: Sequence[dict], max_kb: float) -> dict | None:
    """Chooses the file with the largest mean accuracy that fits a size in every run.

    Accuracy is that of the validation split, if all reports have it, so that the
    accuracy on the test split is an unbiased number for the chosen file.

    Args:
        rows: As `aggregate` returns them, of one data set.
        max_kb: The largest size, in kB of 1000 bytes.

    Returns:
        One of the rows; None if no file is small enough. A file that failed in any run
        does not count. Of two equally accurate files, the smaller.
    """
    fitting = [
        row
        for row in rows
        if row["ships"] and max(row["bytes"]["values"]) <= 1000 * max_kb
    ]
    has_validation = all(row["validation_accuracy"] for row in fitting)
    key = "validation_accuracy" if has_validation else "accuracy"
    return max(
        fitting, key=lambda r: (r[key]["mean"], -r["bytes"]["mean"]), default=None
    )


def table(rows: Sequence[dict]) -> str:
    """Formats the rows for the console, with a column of runs for several groups."""
    import tabulate

    def format_mean(row, key, number_format):
        return number_format(row.get(key) and row[key]["mean"])

    def format_difference(difference):
        if difference is None:
            return formats.NOTHING
        mean = formats.signed(difference["mean"])
        return f"{mean} {intervals.format_interval(difference)}"

    lines = [
        {
            "runs": row.get("runs"),
            "model": row["name"],
            "acc %": format_mean(row, "accuracy", formats.percent),
            "sd": formats.percent(row["accuracy"]["sd"]),
            "minus student": format_difference(row["minus_student"]),
            "minus theirs": format_difference(row["minus_theirs"]),
            "kB": format_mean(row, "bytes", formats.kilobytes),
            "gzip kB": format_mean(row, "gzip_bytes", formats.kilobytes),
            "packed kB": format_mean(row, "packed_bytes", formats.kilobytes),
            "arena kB": format_mean(row, ARENA, formats.kilobytes),
            "zeros %": format_mean(
                row, "sparsity", lambda share: formats.percent(share and 100 * share, 1)
            ),
            "ms": format_mean(row, "latency_ms", formats.plain),
            "ms, all": format_mean(row, "latency_all_threads_ms", formats.plain),
        }
        for row in rows
    ]
    is_empty = {"runs": all("runs" not in row for row in rows)}
    is_empty["arena kB"] = not any(row.get(ARENA) for row in rows)
    is_empty["minus theirs"] = all(row["minus_theirs"] is None for row in rows)
    lines = [
        {key: text for key, text in line.items() if not is_empty.get(key)}
        for line in lines
    ]
    text_columns = [key for key in ("runs", "model") if not is_empty.get(key)]
    return tabulate.tabulate(
        lines,
        headers="keys",
        colalign=["left"] * len(text_columns),
        stralign="right",
        disable_numparse=True,
    )
