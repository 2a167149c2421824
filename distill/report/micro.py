"""What TFLite Micro makes of files, as tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import tabulate

from distill.runtime import formats

HEADERS = [
    "in TFLite Micro",
    "arena kB",
    "head kB",
    "tail kB",
    "acc %",
    "as LiteRT %",
    "steps",
    "why not",
]


def rows(models: Sequence[dict]) -> list[list[str]]:
    """One row of text, by `HEADERS`, for each file that was run in TFLite Micro.

    Args:
        models: The models of `report.json`.
    """
    return [
        [
            model["name"],
            *_memory({**model["micro"], "arena_bytes": model["arena_bytes"]}),
            formats.percent(model["micro"]["accuracy"]),
            formats.percent(model["micro"]["agreement_with_litert"]),
            formats.whole(model["micro"]["largest_steps"]),
            model["micro"]["reason"] or "",
        ]
        for model in models
        if "micro" in model
    ]


def note(models: Sequence[dict]) -> str:
    """What the columns are, and on what they were measured; empty without such files.

    Args:
        models: As for `rows`.
    """
    run = [model["micro"] for model in models if "micro" in model]
    if not run:
        return ""
    examples = min(each["examples"] for each in run)
    return (
        f"TFLite Micro on {run[0]['build']}; {examples:,} test examples. Arena: the "
        "least memory beside the file; ops share its head in turn, its tail stays, the "
        "start may need more. A board has pointers half as long, and kernels that may "
        "need more. As LiteRT: equal classes; steps: the largest difference of an "
        "output of integers"
    )


def table(models: Sequence[dict]) -> list[str]:
    """The rows for the console: a table, and a line for each file that does not run.

    Args:
        models: As for `rows`; without such files, there is no line.
    """
    return _lines(rows(models), HEADERS)


def prediction(trials: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What TFLite Micro makes of the files of an untrained network, for the console.

    Args:
        trials: Name of each finisher to the attributes of a `trial.Trial`.

    Returns:
        As for `table`.
    """
    body = [
        [f"student.{name}", *_memory(each), each["reason"] or ""]
        for name, each in trials.items()
    ]
    return _lines(body, [*HEADERS[:4], HEADERS[-1]])


def _memory(found):
    names = ("arena_bytes", "head_bytes", "tail_bytes")
    return [formats.kilobytes(found[name]) for name in names]


def _lines(body, headers):
    """The rows without their last column, whose reasons follow in lines."""
    if not body:
        return []
    table = tabulate.tabulate(
        [cells for *cells, _ in body],
        headers[:-1],
        colalign=["left", *["right"] * (len(headers) - 2)],
        disable_numparse=True,
    )
    reasons = [f"{name} does not run there: {why}" for name, *_, why in body if why]
    return [table, *reasons]
