"""Every model of several finished runs: means over them, and differences."""

from collections.abc import Sequence

from distill.runtime import formats
from distill.studies import intervals
from distill.studies.compare.groups import config_of, data_of

CHOOSING = ("validation_accuracy",)
NUMBERS = ("accuracy", "bytes", "gzip_bytes", "macs", "sparsity")
TIMES = ("latency_ms", "latency_all_threads_ms")


def aggregate(ours: Sequence[dict], theirs: Sequence[dict] = ()) -> list[dict]:
    """Means over runs, model by model.

    Args:
        ours: Reports, as in `report.json`, of one seed each.
        theirs: Reports of the same seeds, in the same order, or none.

    Returns:
        One mapping a model that all of `ours` have: `name`; `ships`, whether it is a
        file that failed in none; each of `NUMBERS` and
        `TIMES` (the median) as `intervals.summary`, None where a run lacks it;
        `minus_student`, in points of accuracy, as `intervals.paired_difference`,
        and `minus_theirs`, likewise, None where `theirs` have no such model.

    Raises:
        ValueError: If the seeds are not those of one another, or come twice; or if
            config or data differ within a group, or data between the two.
    """
    seeds, others = ([r["run"]["seed"] for r in runs] for runs in (ours, theirs))
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"runs must be of different seeds. Received: {seeds}")
    if theirs and seeds != others:
        raise ValueError(
            "--against must be runs of the same seeds, in the same order. "
            f"Received: {others}, beside {seeds}"
        )
    for runs in (ours, theirs):
        if len({config_of(report) for report in runs}) > 1:
            raise ValueError("runs must be of one config and one data set, seeds apart")
    if theirs and data_of(ours[0]) != data_of(theirs[0]):
        raise ValueError("--against must be runs of the same data set")
    models, against = _by_name(ours), _by_name(theirs)
    return [
        {
            "name": name,
            "ships": _ships(entries),
            **{key: _summary(entries, key) for key in (*CHOOSING, *NUMBERS, *TIMES)},
            "minus_student": _difference(entries, models.get("student")),
            "minus_theirs": _difference(entries, against.get(name)),
        }
        for name, entries in models.items()
    ]


def _by_name(reports):
    """Name of each model that all reports have to its entries."""
    runs = [{model["name"]: model for model in report["models"]} for report in reports]
    return {
        name: [run[name] for run in runs]
        for name in (runs[0] if runs else ())
        if all(name in run for run in runs)
    }


def _ships(entries):
    """Whether a model is an exported file, without a failure in any run."""
    return all(
        entry.get("file", "").endswith(".tflite") and not entry.get("failed")
        for entry in entries
    )


def _summary(entries, key):
    values = [entry.get(key) for entry in entries]
    if any(value is None for value in values):
        return None
    if key in TIMES:
        values = [value["median"] for value in values]
    return intervals.summary(values)


def _difference(entries, others):
    if others is None or others is entries:
        return None
    return intervals.paired_difference(
        *([entry["accuracy"] for entry in side] for side in (entries, others))
    )


def best(rows: Sequence[dict], max_kb: float) -> dict | None:
    """The file with the largest mean accuracy of those that are never larger.

    It is the validation split's accuracy, where reports have it, so that the test
    split's stays an honest number for what was chosen.

    Args:
        rows: As `aggregate` returns them, of one data set.
        max_kb: In kB of 1000 bytes.

    Returns:
        One of the rows; None where no file is so small. A file that failed in any run
        does not count. Of two equally good ones, the smaller.
    """
    able = [
        row
        for row in rows
        if row["ships"] and max(row["bytes"]["values"]) <= 1000 * max_kb
    ]
    known = all(row["validation_accuracy"] for row in able)
    key = "validation_accuracy" if known else "accuracy"
    return max(able, key=lambda r: (r[key]["mean"], -r["bytes"]["mean"]), default=None)


def table(rows: Sequence[dict]) -> str:
    """The rows, for the console; those of several groups of runs say which."""
    import tabulate

    def mean(row, key, text):
        return text(row[key] and row[key]["mean"])

    def difference(each):
        if each is None:
            return formats.NOTHING
        return f"{formats.signed(each['mean'])} {intervals.interval(each)}"

    shown = [
        {
            "runs": row.get("runs"),
            "model": row["name"],
            "acc %": mean(row, "accuracy", formats.percent),
            "sd": formats.percent(row["accuracy"]["sd"]),
            "minus student": difference(row["minus_student"]),
            "minus theirs": difference(row["minus_theirs"]),
            "kB": mean(row, "bytes", formats.kilobytes),
            "gzip kB": mean(row, "gzip_bytes", formats.kilobytes),
            "zeros %": formats.percent(100 * row["sparsity"]["mean"], 1),
            "ms": mean(row, "latency_ms", formats.plain),
            "ms, all": mean(row, "latency_all_threads_ms", formats.plain),
        }
        for row in rows
    ]
    absent = {"runs": all("runs" not in row for row in rows)}
    absent["minus theirs"] = all(row["minus_theirs"] is None for row in rows)
    shown = [
        {key: text for key, text in line.items() if not absent.get(key)}
        for line in shown
    ]
    named = [key for key in ("runs", "model") if not absent.get(key)]
    return tabulate.tabulate(
        shown,
        headers="keys",
        colalign=["left"] * len(named),
        stralign="right",
        disable_numparse=True,
    )
