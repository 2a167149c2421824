"""The model card: what the model does, how accurate it is, and how it was trained."""

import yaml

from distill.data import sidecar
from distill.measure.end import End
from distill.report import certificates, micro, references
from distill.report.card.program import program
from distill.report.charts import pareto, scores
from distill.runtime import formats

_COLUMNS = [
    "model",
    "file",
    "accuracy, %",
    "validation, %",
    "bytes",
    "bytes, gzip",
    "bytes, packed",
    "MACs",
    "energy, modelled",
    "takes",
    "gives",
    "SHA-256",
]
_AGREEMENT = ("agreement with the teacher, %", "on validation, %")
_ENDS = ("takes", "gives")
NAMED = 20  # Up to so many classes are named in a sentence.


def text(result: dict) -> str:
    """The model card in Markdown.

    Args:
        result: The content of `report.json`.
    """
    chosen, data = pareto.smallest(result["models"]), result["data"]
    name = chosen["name"] if chosen else "student"
    parts = [
        f"# {name}, on {data['name']}",
        f"Maps {_describe_inputs(data)} to the logits of "
        f"{_format_classes(data['class_names'])}, in the order of "
        f"`{sidecar.LABELS}`. {_describe_types(data)}",
        "## Measured",
        f"On {data['test']:,} test examples, each file by running it; "
        f"{result['machine']}. What passes, and what is named above, was decided by "
        f"{data['validation']:,} validation examples.",
        _table([_columns(result["models"]), *map(_row, result["models"])]),
        f"Packed: {formats.PACKED}.{_packed_files(result['models'])}",
        f"Energy of one input: {formats.ENERGY}.",
        *_describe_references(result["models"]),
        *_run_in_micro(result["models"]),
        *_call(chosen, data),
        "## What to know",
        _format_list(_limits(result, chosen)),
        "## Training",
        _format_list(map(_stage, result["stages"])),
        "## Made of",
        _format_list(
            [
                f"data: {data['name']}, {data['train']:,} training"
                f"{_beside(data)} and "
                f"{data['validation']:,} validation examples, fingerprint "
                f"`{data['fingerprint']}`",
                *(f"{name} {version}" for name, version in result["versions"].items()),
            ]
        ),
        f"```yaml\n{yaml.safe_dump(result['run'], sort_keys=False)}```",
    ]
    return "\n\n".join(parts) + "\n"


def _run_in_micro(models):
    """The table of the files in TFLite Micro, and its note, if they were run there."""
    rows = micro.rows(models)
    return [_table([micro.HEADERS, *rows]), f"{micro.note(models)}."] if rows else []


def _call(chosen, data):
    """A program that calls the file, if LiteRT runs it."""
    if chosen is None or "CUSTOM" in chosen.get("ops", ()):
        return []
    code = program(
        chosen["file"], chosen["takes"][0], data["kind"], data["class_names"]
    )
    what = "texts" if data["kind"] == "texts" else "the files of images"
    return [
        "## Use",
        f"`python classify.py ...` with {what} prints the class of each, where "
        f"`classify.py`, in the folder of `{chosen['file']}`, is",
        f"```python\n{code}```",
    ]


def _describe_references(models):
    """Statements on the files that were made elsewhere, if there are any."""
    lines = references.lines(models)
    return [_format_list(lines)] if lines else []


def _beside(data):
    """The unlabelled training examples, if there are any."""
    count = data.get("unlabelled")
    return f" (and {count:,} unlabelled beside them)" if count else ""


def _describe_inputs(data):
    """A description of the network's inputs."""
    shape = " x ".join(map(str, data["input_shape"]))
    if data["kind"] == "texts":
        return f"{shape} int32 ids, which `{sidecar.TOKENIZER}` makes of a text,"
    return f"images {shape}, numbers in [0, 1],"


def _describe_types(data):
    """A sentence on the types of inputs and outputs, which a reader may not expect."""
    if data["kind"] == "texts":
        return (
            "Every file takes the ids as they are, and gives float32 unless the table "
            "says otherwise."
        )
    return (
        "Files whose weights have eight bits take and give float32 too, unless the "
        "table says otherwise."
    )


def _format_classes(names):
    count = f"{len(names)} classes"
    return f"{count}: {', '.join(names)}" if len(names) <= NAMED else count


def _packed_files(models):
    """A sentence on the packed files in the folder; empty if there are none."""
    names = [f"`{x['packed_file']}`" for x in models if "packed_file" in x]
    if not names:
        return ""
    return f" In this form beside the others: {', '.join(names)}."


def _columns(models):
    """The table's columns, in which agreement is called agreement."""
    if scores.are_known(models):
        return _COLUMNS
    return [_COLUMNS[0], _COLUMNS[1], *_AGREEMENT, *_COLUMNS[4:]]


def _row(model):
    return [
        model["name"],
        model["file"],
        formats.percent(scores.of_test(model)),
        formats.percent(scores.of_validation(model)),
        formats.whole(model["bytes"]),
        formats.whole(model["gzip_bytes"]),
        formats.whole(model["packed_bytes"]),
        formats.macs(model, formats.whole),
        formats.energy(model, formats.whole),
        *("; ".join(str(End(**end)) for end in model[key]) for key in _ENDS),
        f"`{model['sha256'][:16]}`",
    ]


def _limits(result, chosen):
    """Statements on the limits of the model and its files."""
    worst = chosen and _worst(chosen, result["data"]["class_names"])
    return [
        *_promises(result["models"]),
        *result["warnings"],
        *certificates.lines(result["models"]),
        *filter(None, [formats.not_counted(result["models"])]),
        *([worst] if worst else []),
        "measured on this test split alone: nothing is known of other inputs",
    ]


def _promises(models):
    """Every promise that a file broke, intermediate files included."""
    broken = [f"{model['name']}: {why}" for model in models for why in model["failed"]]
    if broken:
        return ["broken promises, do not ship these files:", *broken]
    if any(model["name"].startswith("student.") for model in models):
        return ["no file broke a promise"]
    return ["no file was made of the student: nothing was promised"]


def _worst(model, names):
    seen = [pair for pair in zip(model["per_class_accuracy"], names, strict=True)]
    if not scores.are_known([model]):
        return None
    accuracy, name = min(pair for pair in seen if pair[0] is not None)
    return f"{model['name']} is worst on {name}: {formats.percent(accuracy)} %"


def _stage(record):
    duration = f"{record['epochs']} epochs, {formats.seconds(record['seconds'])}"
    engine = f", engine {record['engine']}" if "engine" in record else ""
    return f"{record['model']}: {record['name']}, {duration}{engine}"


def _format_list(lines):
    return "\n".join(f"- {line}" for line in lines)


def _table(rows):
    escaped = ([cell.replace("|", r"\|") for cell in row] for row in rows)
    head, *body = [f"| {' | '.join(row)} |" for row in escaped]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])
