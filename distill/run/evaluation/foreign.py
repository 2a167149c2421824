"""The process in which files from elsewhere are measured, with limits.

`references` gives it a folder with `task.json` and arrays, and reads
`found.json` there.
"""

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np
from scipy import stats

from distill import data
from distill.measure import graph, interpreter, lut
from distill.measure.micro import parity
from distill.run.evaluation.record import model_record

CONFIDENCE = 0.95


def main(folder: str) -> int:
    """Does the task of a folder.

    Returns:
        The exit code, 0; an error is `error` in `found.json`.
    """
    place = pathlib.Path(folder)
    task = json.loads((place / "task.json").read_text())
    try:
        found = _TASKS[task.pop("name")](place, **task)
    except Exception as error:  # A damaged file raises whatever its reader does.
        found = {"error": " ".join(str(error).split())}
    (place / "found.json").write_text(json.dumps(found))
    return 0


def _find_ends(place: pathlib.Path, path: str) -> dict[str, Any]:
    """The inputs and outputs of a file, which is run on one example if that fits."""
    file, example = pathlib.Path(path), _load(place, "inputs")
    takes, gives = graph.Graph(lut.expand(file.read_bytes()), file).ends()
    if [end.shape[1:] for end in takes] == [example.shape[1:]]:
        run = interpreter.Runner(file, example.shape, 1)
        run(run.quantize(example))
    ends = {"takes": takes, "gives": gives}
    return {key: [dataclasses.asdict(end) for end in ends[key]] for key in ends}


def _measure(
    place: pathlib.Path, path: str, limits: list[float], micro: bool
) -> dict[str, Any]:
    """The entry of a file in the report's `models`; see `model_record`.

    Args:
        place: Has the examples, and the teacher's logits if there is a teacher.
        path: The file.
        limits: The numbers that it wants for black and white.
        micro: Whether to run it in TFLite Micro too.
    """
    file = pathlib.Path(path)
    split = data.Split(_load(place, "inputs"), _load(place, "labels")).scaled(limits)
    record, answers = model_record(file, split, _load(place, "taught"))
    if answers.shape[-1:] != answers.shape[1:]:
        raise ValueError(f"its answers are of shape {answers.shape}")
    if micro:
        record |= parity.record(file, split, record["macs"])
    right = round(len(split.labels) * record["accuracy"] / 100)
    # Wilson's, which stays in [0, 100] near its ends.
    bounds = stats.binomtest(right, len(split.labels)).proportion_ci(
        CONFIDENCE, "wilson"
    )
    interval = [100 * float(bounds.low), 100 * float(bounds.high)]
    return record | {"reference": {"input_range": limits, "interval": interval}}


def _time(place: pathlib.Path, paths: list[str], threads: int) -> list[dict[str, Any]]:
    """The latency of each file, which alternate; see `interpreter.latencies`."""
    files = [pathlib.Path(path) for path in paths]
    example = _load(place, "inputs")
    taken = interpreter.latencies(files, example, threads=threads)
    return [taken[file] for file in files]


def _load(place, name):
    """An array of the folder; None if there is none of this name."""
    path = place / f"{name}.npy"
    return np.load(path, allow_pickle=False) if path.exists() else None


_TASKS = {"ends": _find_ends, "measure": _measure, "time": _time}
