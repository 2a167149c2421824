"""Refuses a foreign network that cannot become the files of its config."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

from distill import config
from distill.compress import finishers
from distill.measure import energy
from distill.report import compress_tables
from distill.runtime import errors


def find_blocked(
    diagnosed: dict[str, Any],
    parts: Sequence[finishers.Finisher],
    layers: Mapping[str, energy.Layer] | None = None,
) -> dict[str, dict[str, str]]:
    """Finds what prevents each file.

    Args:
        diagnosed: The result of `distill.run.parent.diagnose`.
        parts: The finishers, in order.
        layers: As for `Finisher.check_layers`; None if that was asked before.

    Returns:
        Name of each finisher to the layers that prevent its file, or `twin` or `model`,
        each with the reason; empty for a file that can be made.
    """
    blocked: dict[str, dict[str, str]] = {}
    for part in parts:
        # A file is also blocked by what blocks the files that it starts from.
        own = part.blocked(diagnosed) | _find_misfit(part, layers)
        inherited = [blocked.get(name, {}) for name in part.needs]
        blocked[config.name_of(part)] = dict(collections.ChainMap(own, *inherited))
    return blocked


def _find_misfit(part, layers):
    """Why the options do not fit the layers, as if it were a layer."""
    try:
        if layers is not None:
            part.check_layers(layers)
    except ValueError as error:
        return {"model": str(error)}
    return {}


def check(diagnosed: dict[str, Any], parts: Sequence[finishers.Finisher]) -> None:
    """Refuses a network before a finisher trains that is followed by a blocked one.

    Args:
        diagnosed: The result of `distill.run.parent.diagnose`.
        parts: The finishers, in order.

    Raises:
        ConfigError: Names the files, the layers and the reasons.
    """
    blocked = {name: why for name, why in find_blocked(diagnosed, parts).items() if why}
    if blocked:
        layers = collections.ChainMap(*blocked.values())
        # Some layers come with their class, and are quoted already.
        quoted = {name if "`" in name else f"`{name}`": layers[name] for name in layers}
        reasons = "; ".join(f"{name}: {why}" for name, why in quoted.items())
        raise errors.ConfigError(
            f"`finish`: no {compress_tables.join_names(list(blocked))} can be made of "
            f"this network: {reasons}. Leave it out, or see `python -m distill.doctor`"
        )
