"""What each file does to each layer: a line for the console, a table for the page."""

import math
from collections.abc import Sequence

from distill.runtime import formats

DARKEST = 1.0  # An error as large as the signal; one step less is half a power of ten.
STEPS = 6


def worst(model: dict) -> dict | None:
    """The layer of a file that adds most error, or None where nothing is known.

    Args:
        model: As in `report.json`.
    """
    known = [x for x in model.get("layers", ()) if x["own_error"] is not None]
    return max(known, key=lambda layer: layer["own_error"], default=None)


def line(models: Sequence[dict]) -> str:
    """The worst layer of each file, in words; empty where nothing is known.

    Args:
        models: As in `report.json`.
    """
    found = {_short(model): worst(model) for model in models}
    named = [
        f"{name} {formats.plain(100 * layer['own_error'])} % at {layer['layer']}"
        for name, layer in found.items()
        if layer is not None
    ]
    return f"largest error that a layer adds: {'; '.join(named)}" if named else ""


def table(models: Sequence[dict]) -> dict:
    """Layers by files.

    Args:
        models: As in `report.json`.

    Returns:
        `files`, names without `student.`; `rows`, one mapping a layer: `layer`, its
        name, and `cells`, for each file None, or what `model["layers"]` says and
        `shade`, from 0 (pale) to `STEPS`, and whether it is the `worst`.
    """
    shown = [model for model in models if model.get("layers")]
    by_file = [
        {x["layer"]: _cell(x, model) for x in model["layers"]} for model in shown
    ]
    layers = dict.fromkeys(name for found in by_file for name in found)
    return {
        "files": [_short(model) for model in shown],
        "rows": [
            {"layer": name, "cells": [found.get(name) for found in by_file]}
            for name in layers
        ],
    }


def _cell(layer, model):
    return {
        **layer,
        "shade": _shade(layer["own_error"]),
        "worst": layer is worst(model),
    }


def _shade(error):
    if not error:
        return 0
    step = STEPS + 2 * math.log10(error / DARKEST)
    return min(STEPS, max(0, math.ceil(step)))


def _short(model):
    return model["name"].removeprefix("student.")
