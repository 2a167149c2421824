"""Which promises the finished files of a run broke."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from distill import config
from distill.compress.search import budget
from distill.measure import codec, cost
from distill.measure.facts import Facts
from distill.report.charts import scores
from distill.runtime import errors


def judge(
    run: Any,
    folder: pathlib.Path,
    models: Sequence[dict],
    stages: Sequence[dict],
    facts: Mapping[str, Facts],
    counted: cost.Cost,
) -> None:
    """Adds broken promises and the errors of layers to each exported student.

    Args:
        run: A `config.Run` or a `finishing.Finishing`.
        folder: Holds the files.
        models: The models of the report.
        stages: The records of all stages and finishes.
        facts: Name of each file to its content.
        counted: The cost of the student.
    """
    by_name = {model["name"]: model for model in models}
    parts = {config.name_of(part): part for part in run.finish}
    made = {record["model"]: record for record in stages}
    student = by_name["student"]
    for name, part in parts.items():
        model = by_name[f"student.{name}"]
        found, record = facts[model["name"]], made.get(model["name"], {})
        model["ops"], model["parity"] = found.ops, record.get("parity")
        model["layers"] = record.get("layers", [])
        model["failed"] += part.breaches(found, parts, counted)
        if part.packs:
            model["packed_file"] = f"{model['name']}.tflz"
            model["failed"] += container_breaches(folder / model["file"])
        if model["parity"]:
            model["failed"] += part.conversion_breaches(model["parity"])
        model["failed"] += limit_breaches(run, model, student)


def container_breaches(path: pathlib.Path) -> list[str]:
    """One line if the packed file beside a file does not unpack to its bytes."""
    container = path.with_suffix(".tflz")
    try:
        if codec.unpack(codec.read(container)) == path.read_bytes():
            return []
    except (OSError, errors.Untrusted) as error:
        return [f"{container.name} cannot be unpacked: {error}"]
    return [f"{container.name} unpacks to other bytes than {path.name}"]


def limit_breaches(run: Any, model: dict, student: dict) -> list[str]:
    """How a file breaks the budget or, without one, the limit on accuracy."""
    drops = [of(student) - of(model) for of in (scores.of_validation, scores.of_test)]
    limits = getattr(run, "budget", None)
    if limits is not None:
        return limits.breaches(model, *drops)
    return budget.accuracy_breaches(
        "max_accuracy_drop", run.max_accuracy_drop, *drops, scores.word([model])
    )
