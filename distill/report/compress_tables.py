"""What the doctor found, and what a search tried, as tables for the console."""

import tabulate

from distill.compress.search import budget
from distill.runtime import formats


def rows(search: dict) -> list[dict[str, str]]:
    """What was tried, for a reader, the best first.

    Args:
        search: As in `search.json`.

    Returns:
        Heading to text, for each trial.
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
    """What was tried, for the console.

    Args:
        search: As in `search.json`.
    """
    shown = rows(search)
    aligned = ["left"] * 3 + ["right"] * 3 + ["left"]
    widths = [None] * 6 + [36]
    return tabulate.tabulate(
        [list(row.values()) for row in shown],
        list(shown[0]),
        colalign=aligned,
        disable_numparse=True,
        maxcolwidths=widths,
    )


def join_names(names: list[str]) -> str:
    """Three names at most, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(name if name[0] == "`" else f"`{name}`" for name in names[:3]) + (
        more
    )


def tables(found: dict) -> str:
    """What `examine` found, for the console."""
    ways = ("prune", "cluster", "quantize")
    rows = [
        [
            layer["name"],
            layer["kind"],
            f"{layer['macs']:,}",
            f"{layer['bytes']:,}",
            *(_mark(layer, way) for way in ways),
        ]
        for layer in found["layers"]
        if layer["kernels"] or layer["rewritten"] or any(map(layer.get, _ASKED))
    ]
    files = [
        [
            f"student.{file['name']}.tflite",
            f"{file['predicted_bytes']:,}",
            file["engine"] or "",
            f"no: {join_names(list(file['blocked']))}" if file["blocked"] else "yes",
        ]
        for file in found["files"]
    ]
    share = found["float_share"]
    lines = [
        formats.table(rows, ["layer", "class", "MACs", "bytes", *ways]) if rows else "",
        formats.table(files, ["file", "bytes, predicted", "engine", "can be made"]),
        f"quantize: {100 * share['macs']:.1f} % of the MACs and "
        f"{100 * share['bytes']:.1f} % of the bytes would stay float",
        *_passed_over(found),
        *(f"{name}: {why}" for name, why in _reasons(found).items()),
        *(f"change: {line}" for line in found["advice"]),
    ]
    return "\n".join(filter(None, lines))


_ASKED = ("prune", "cluster", "tfmot", "keras")


def _passed_over(found):
    """Why it is our own engine that quantizes, where it is."""
    refused = [layer["name"] for layer in found["layers"] if layer["tfmot"]]
    if found["engine"] == "keras" and refused:
        yield f"quantize: engine keras; TF-MOT refuses {join_names(refused)}"


def _mark(layer, way):
    if way == "quantize":
        able = [engine for engine in ("tfmot", "keras") if not layer[engine]]
        if len(able) == 2:
            return "rewritten" if layer["rewritten"] else "yes"
        return able[0] if able else "no"
    if layer[way]:
        return "no"
    return "yes" if layer["kernels"] else ""


def _reasons(found):
    """Each reason once, behind the layers that it holds for."""
    reasons: dict[str, list[str]] = {}
    for file in found["files"]:
        for name, why in file["blocked"].items():
            names = reasons.setdefault(why, [])
            names += [] if name in names else [name]
    return {join_names(names): why for why, names in reasons.items()}
