"""Tables of a student's diagnosis and of the trials of a search, for the console."""

import tabulate

from distill.compress.search import budget
from distill.measure.micro import trial
from distill.report import micro
from distill.runtime import formats


def rows(search: dict) -> list[dict[str, str]]:
    """The trials of a search as text, the best first.

    Args:
        search: The content of `search.json`.

    Returns:
        For each trial, a dict from heading to text.
    """
    trials = sorted(search["trials"], key=budget.rank)
    return [
        {
            "": "*" if row["label"] == search["winner"] else "" if row["fits"] else "x",
            "finisher": row["finisher"],
            "options": ", ".join(f"{key} {x}" for key, x in row["options"].items()),
            "kB": formats.kilobytes(row["size"]),
            "validation %": formats.percent(row["accuracy"]),
            "drop": formats.percent(row["drop"]),
            "why not": "; ".join(row["failed"]),
        }
        for row in trials
    ]


def table(search: dict) -> str:
    """The trials of a search as a table for the console.

    Args:
        search: The content of `search.json`.
    """
    trials = rows(search)
    alignment = ["left"] * 3 + ["right"] * 3 + ["left"]
    widths = [None] * 6 + [36]  # The last column is wrapped, the others are not.
    return tabulate.tabulate(
        [list(row.values()) for row in trials],
        list(trials[0]),
        colalign=alignment,
        disable_numparse=True,
        maxcolwidths=widths,
    )


def join_names(names: list[str]) -> str:
    """At most three names, quoted, and the number of the remaining ones."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(name if name[0] == "`" else f"`{name}`" for name in names[:3]) + (
        more
    )


def tables(diagnosis: dict) -> str:
    """The diagnosis that `examine` returns, as tables for the console."""
    methods = ("prune", "cluster", "quantize")
    rows = [
        [
            layer["name"],
            layer["kind"],
            f"{layer['macs']:,}",
            f"{layer['bytes']:,}",
            *(_mark(layer, method) for method in methods),
        ]
        for layer in diagnosis["layers"]
        if layer["kernels"] or layer["rewritten"] or any(map(layer.get, _OBSTACLES))
    ]
    files = [
        [
            f"student.{file['name']}.tflite",
            *(
                formats.predicted(file[f"predicted_{key}"], key in file["upper_bounds"])
                for key in ("bytes", "packed_bytes")
            ),
            file["engine"] or "",
            f"no: {join_names(list(file['blocked']))}" if file["blocked"] else "yes",
        ]
        for file in diagnosis["files"]
    ]
    share = diagnosis["float_share"]
    lines = [
        formats.table(rows, ["layer", "class", "MACs", "bytes", *methods])
        if rows
        else "",
        formats.table(files, _FILES),
        f"packed: {formats.PACKED}",
        f"quantize: {100 * share['macs']:.1f} % of the MACs and "
        f"{100 * share['bytes']:.1f} % of the bytes would stay float",
        *_explain_engine(diagnosis),
        *(f"{name}: {why}" for name, why in _group_by_reason(diagnosis).items()),
        *(f"change: {line}" for line in diagnosis["advice"]),
        *(f"caution: {line}" for line in diagnosis["cautions"]),
        *_predict_target(diagnosis),
    ]
    return "\n".join(filter(None, lines))


_FILES = ["file", "bytes, predicted", "packed, predicted", "engine", "can be made"]
# Keys of a layer that hold the reason why something cannot be done with it.
_OBSTACLES = ("prune", "cluster", "tfmot", "keras")


def _predict_target(diagnosis):
    """Yields the table of what TFLite Micro will run, if that was asked for."""
    if "micro" in diagnosis:
        yield from micro.prediction(diagnosis["micro"])
        yield f"TFLite Micro on {trial.build()}: files of the network so far"


def _explain_engine(diagnosis):
    """Yields the reason why the engine is not TF-MOT, if there is one."""
    refused = [layer["name"] for layer in diagnosis["layers"] if layer["tfmot"]]
    if diagnosis["engines"][""] == "keras" and refused:
        yield f"quantize: engine keras; TF-MOT refuses {join_names(refused)}"
    elif diagnosis["whole"]["tfmot"]:
        yield f"quantize: engine keras; {diagnosis['whole']['tfmot']}"


def _mark(layer, method):
    """The cell of a layer and a method: whether the method can be applied to it."""
    if method == "quantize":
        able = [engine for engine in ("tfmot", "keras") if not layer[engine]]
        if len(able) == 2:
            return "rewritten" if layer["rewritten"] else "yes"
        return able[0] if able else "no"
    if layer[method]:
        # Our own engine prunes any kernel, but does not cluster.
        return "own" if method == "prune" and layer["kernels"] else "no"
    return "yes" if layer["kernels"] else ""


def _group_by_reason(diagnosis):
    """The names of blocked layers, joined, to the reason that they share."""
    reasons: dict[str, list[str]] = {}
    for file in diagnosis["files"]:
        for name, why in file["blocked"].items():
            names = reasons.setdefault(why, [])
            names += [] if name in names else [name]
    return {join_names(names): why for why, names in reasons.items()}
