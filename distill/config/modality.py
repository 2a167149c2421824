"""Images or texts: whether each part of a run takes what its data are."""

import dataclasses
from collections.abc import Iterator
from typing import Any


def check(run: Any) -> None:
    """Refuses parts that cannot work on the run's kind of inputs.

    A part that cares has an attribute `takes`, the kinds that it can be given; the
    data have `kind`.

    Args:
        run: A `config.Run`.

    Raises:
        ValueError: Names the part, what it takes, and what the data are.
    """
    kind = run.data.kind
    for where, part in _takers(run):
        if kind not in part.takes:
            raise ValueError(
                f"`{where}` must be one that takes {kind}, which the data are. "
                f"Received: {type(part).__name__}, which takes {', '.join(part.takes)}"
            )


def _takers(tree: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Each part of a tree of dataclasses that has `takes`, and where it stands."""
    if hasattr(tree, "takes"):
        yield where, tree
    if isinstance(tree, tuple):
        for index, item in enumerate(tree):
            yield from _takers(item, f"{where}[{index}]")
    elif dataclasses.is_dataclass(tree):
        for field in dataclasses.fields(tree):
            inner = getattr(tree, field.name)
            yield from _takers(inner, f"{where}.{field.name}".lstrip("."))
