"""Every model of several finished runs: means over them, and differences."""

import json
import pathlib
from collections.abc import Sequence

from distill.runtime import formats
from distill.runtime.errors import ConfigError
from distill.studies import intervals

NUMBERS = ("accuracy", "bytes", "gzip_bytes", "macs", "sparsity")
TIMES = ("latency_ms", "latency_all_threads_ms")


def aggregate(ours: Sequence[dict], theirs: Sequence[dict] = ()) -> list[dict]:
    """Means over runs, model by model.

    Args:
        ours: Reports, as in `report.json`, of one seed each.
        theirs: Reports of the same seeds, in the same order, or none.

    Returns:
        One mapping a model that all of `ours` have: `name`; each of `NUMBERS` and
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
        if len({_config(report) for report in runs}) > 1:
            raise ValueError("runs must be of one config and one data set, seeds apart")
    if theirs and _data(ours[0]) != _data(theirs[0]):
        raise ValueError("--against must be runs of the same data set")
    models, against = _by_name(ours), _by_name(theirs)
    return [
        {
            "name": name,
            **{key: _summary(entries, key) for key in (*NUMBERS, *TIMES)},
            "minus_student": _difference(entries, models.get("student")),
            "minus_theirs": _difference(entries, against.get(name)),
        }
        for name, entries in models.items()
    ]


def read_report(folder: pathlib.Path) -> dict:
    """The report of a finished run.

    Raises:
        ConfigError: If there is none.
    """
    path = folder / "report.json"
    if not path.is_file():
        raise ConfigError(f"{folder} must be the folder of a finished run: no {path}")
    return json.loads(path.read_text())


def _config(report):
    """Config and data of a report, without the seed and what names files of a seed."""
    apart = {"seed", "model", "teacher"} if "student" not in report["run"] else {"seed"}
    options = {key: part for key, part in report["run"].items() if key not in apart}
    return json.dumps([options, _data(report)], sort_keys=True)


def _data(report):
    return report["data"]["fingerprint"]


def _by_name(reports):
    """Name of each model that all reports have to its entries."""
    runs = [{model["name"]: model for model in report["models"]} for report in reports]
    return {
        name: [run[name] for run in runs]
        for name in (runs[0] if runs else ())
        if all(name in run for run in runs)
    }


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


def table(found: dict) -> str:
    """What `aggregate` found, for the console."""
    import tabulate

    def mean(model, key, text):
        return text(model[key] and model[key]["mean"])

    def difference(each):
        if each is None:
            return formats.NOTHING
        return f"{formats.signed(each['mean'])} {intervals.interval(each)}"

    rows = [
        [
            model["name"],
            mean(model, "accuracy", formats.percent),
            formats.percent(model["accuracy"]["sd"]),
            difference(model["minus_student"]),
            difference(model["minus_theirs"]),
            mean(model, "bytes", formats.kilobytes),
            mean(model, "gzip_bytes", formats.kilobytes),
            formats.percent(100 * model["sparsity"]["mean"], 1),
            *(mean(model, key, formats.plain) for key in TIMES),
        ]
        for model in found
    ]
    headers = ["model", "acc %", "sd", "minus student", "minus theirs"]
    headers += ["kB", "gzip kB", "zeros %", "ms", "ms, all threads"]
    if all(model["minus_theirs"] is None for model in found):
        headers.remove("minus theirs")
        rows = [row[:4] + row[5:] for row in rows]
    align = ["left", *["right"] * (len(headers) - 1)]
    table = tabulate.tabulate(rows, headers, colalign=align, disable_numparse=True)
    runs = found[0]["accuracy"]["n"] if found else 0
    return (
        f"{table}\nMeans over {runs} runs; intervals of 95 %, paired by seed: they "
        "cover what another seed\nwould change, not what other test examples would."
    )
