"""The layers whose weights the scores of pruning support, and known risks of scores."""

from collections.abc import Iterable
from typing import Any

_PLAIN = ("Dense", "Conv1D", "Conv2D")
# Scores that use training images, each with the classes of layers that it supports.
KINDS = {
    "kfac": (*_PLAIN, "Conv3D", "Conv1DTranspose", "Conv2DTranspose"),
    "sensitivity": _PLAIN,
}


def explain_unsupported(layer: Any, kind: str, score: str) -> str:
    """Why a score does not support a layer; empty if it does.

    Args:
        layer: The layer; None if only its class is known.
        kind: Name of its class.
        score: As in the option of `pruned`.
    """
    if score not in KINDS:
        return ""
    grouped = score == "sensitivity" and getattr(layer, "groups", 1) > 1
    if kind in KINDS[score] and not grouped:
        return ""
    suffix = " in groups" if grouped else ""
    return f"`score: {score}` does not support {kind} layers{suffix}"


def unsupported(layers: Iterable[dict], score: str) -> dict[str, str]:
    """Name of each layer that a score does not support to the reason.

    Args:
        layers: As in the result of `distill.run.parent.diagnose`.
        score: As in the option of `pruned`.
    """
    pruned = (x for x in layers if x["kernels"] and x["kind"][:9] != "Depthwise")
    reasons = {x["name"]: explain_unsupported(None, x["kind"], score) for x in pruned}
    return {name: why for name, why in reasons.items() if why}


def cautions(layers: Iterable[dict], score: str) -> list[str]:
    """What is not known of a score with a network that has norms; see `unsupported`."""
    has_norms = any(layer["kind"] == "BatchNormalization" for layer in layers)
    if score != "kfac" or not has_norms:
        return []
    return [
        "`score: kfac` was measured on three networks with norms: better than "
        "`magnitude` on one, no better on two, with up to a fifth more MACs for as "
        "many zeros: compare both"
    ]
