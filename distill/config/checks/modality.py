"""Checks that every part of a run accepts the modality of its data: images or texts."""

import dataclasses
from collections.abc import Iterator
from typing import Any


def check(run: Any) -> None:
    """Refuses parts that cannot process the run's kind of inputs.

    A part that is limited to certain kinds lists them in its attribute `takes`; the
    kind of the data is their attribute `kind`.

    Args:
        run: A `config.Run`.

    Raises:
        ValueError: If a part does not fit; names the part and both kinds.
    """
    kind = run.data.kind
    for where, part in _find_limited(run):
        if kind not in part.takes:
            raise ValueError(
                f"`{where}` must be one that takes {kind}, which the data are. "
                f"Received: {type(part).__name__}, which takes {', '.join(part.takes)}"
            )


def _find_limited(tree: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Yields path and part, for each part of a tree of dataclasses that has `takes`."""
    if hasattr(tree, "takes"):
        yield where, tree
    if isinstance(tree, tuple):
        for index, item in enumerate(tree):
            yield from _find_limited(item, f"{where}[{index}]")
    elif dataclasses.is_dataclass(tree):
        for field in dataclasses.fields(tree):
            inner = getattr(tree, field.name)
            yield from _find_limited(inner, f"{where}.{field.name}".lstrip("."))
