"""A table of where the time of a run went."""

import collections
import pathlib
from typing import Any

import tabulate

from distill.run import times
from distill.runtime import stopwatch


def read(folder: pathlib.Path) -> dict[str, Any]:
    """The times of a run, over all commands that it took.

    Args:
        folder: The run's folder.

    Returns:
        `commands`, their number; `seconds`, the whole time of them; `parts`, the name
        of each part of the run to its kinds of work and their seconds.

    Raises:
        ConfigError: If there is no record.
    """
    commands = times.read(folder)
    parts: dict[str, dict[str, float]] = collections.defaultdict(dict)
    for (part, kind), seconds in (item for one in commands for item in one.items()):
        parts[part][kind] = parts[part].get(kind, 0.0) + seconds
    whole = sum(seconds for one in commands for seconds in one.values())
    return {"commands": len(commands), "seconds": whole, "parts": dict(parts)}


def table(result: dict[str, Any]) -> str:
    """Formats the result of `read` for the console: one row for each part."""
    rows = [
        [part, *(kinds.get(kind) for kind in stopwatch.KINDS), sum(kinds.values())]
        for part, kinds in result["parts"].items()
    ]
    sums = [
        sum(kinds.get(kind, 0.0) for kinds in result["parts"].values())
        for kind in stopwatch.KINDS
    ]
    rows.append(["the whole", *sums, result["seconds"]])
    count = result["commands"]
    return "\n".join(
        [
            tabulate.tabulate(
                rows,
                headers=["seconds", *stopwatch.KINDS, "sum"],
                floatfmt=".1f",
                missingval="",
            ),
            f"of {count} commands" if count > 1 else "of one command",
        ]
    )
