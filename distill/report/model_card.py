"""A report -> the card that goes with the model: what it is, how good, made of what."""

import yaml

from distill.report.charts import pareto
from distill.runtime import formats

_COLUMNS = ["model", "file", "accuracy, %", "bytes", "bytes, gzip", "MACs", "SHA-256"]


def text(result: dict) -> str:
    """The card, in Markdown.

    Args:
        result: The report, as in `report.json`.
    """
    chosen, data = pareto.smallest(result["models"]), result["data"]
    name = chosen["name"] if chosen else "student"
    shape = " x ".join(map(str, data["input_shape"]))
    classes = ", ".join(data["class_names"])
    parts = [
        f"# {name}, on {data['name']}",
        f"Maps float32 inputs {shape} in [0, 1] to the logits of "
        f"{len(data['class_names'])} classes: {classes}.",
        "## Measured",
        f"On {data['test']:,} test examples, each file by running it; "
        f"{result['machine']}.",
        _table([_COLUMNS, *map(_row, result["models"])]),
        "## What to know",
        _listed(_limits(result, chosen)),
        "## Training",
        _listed(map(_stage, result["stages"])),
        "## Made of",
        _listed(
            [
                f"data: {data['name']}, {data['train']:,} training and "
                f"{data['validation']:,} validation examples, fingerprint "
                f"`{data['fingerprint']}`",
                *(f"{name} {version}" for name, version in result["versions"].items()),
            ]
        ),
        f"```yaml\n{yaml.safe_dump(result['run'], sort_keys=False)}```",
    ]
    return "\n\n".join(parts) + "\n"


def _row(model):
    return [
        model["name"],
        model["file"],
        formats.percent(model["accuracy"]),
        formats.whole(model["bytes"]),
        formats.whole(model["gzip_bytes"]),
        formats.whole(model["macs"]),
        f"`{model['sha256'][:16]}`",
    ]


def _limits(result, chosen):
    """What a user must not overlook."""
    worst = chosen and _worst(chosen, result["data"]["class_names"])
    return [
        "no file broke a promise"
        if not result["failures"]
        else "broken promises, do not ship these files:",
        *result["failures"],
        *result["warnings"],
        *([worst] if worst else []),
        "measured on this test split alone: nothing is known of other inputs",
    ]


def _worst(model, names):
    seen = [pair for pair in zip(model["per_class_accuracy"], names, strict=True)]
    accuracy, name = min(pair for pair in seen if pair[0] is not None)
    return f"{model['name']} is worst on {name}: {formats.percent(accuracy)} %"


def _stage(record):
    spent = f"{record['epochs']} epochs, {formats.seconds(record['seconds'])}"
    engine = f", engine {record['engine']}" if "engine" in record else ""
    return f"{record['model']}: {record['name']}, {spent}{engine}"


def _listed(lines):
    return "\n".join(f"- {line}" for line in lines)


def _table(rows):
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])
