"""The error that each layer of a file adds: a line for the console, a table in HTML."""

import math
from collections.abc import Sequence

from distill.runtime import formats

# The error of the darkest shade, as large as the signal. Each paler shade is for errors
# smaller by a factor of the square root of 10.
DARKEST = 1.0
STEPS = 6  # Number of shades.


def worst(model: dict) -> dict | None:
    """The layer of a file that adds the largest error; None if none was measured.

    Args:
        model: A model of `report.json`.
    """
    known = [x for x in model.get("layers", ()) if x["own_error"] is not None]
    return max(known, key=lambda layer: layer["own_error"], default=None)


def line(models: Sequence[dict]) -> str:
    """The worst layer of each file in words; empty if no error was measured.

    Args:
        models: The models of `report.json`.
    """
    layers = {_short_name(model): worst(model) for model in models}
    texts = [
        f"{name} {formats.plain(100 * layer['own_error'])} % at {layer['layer']}"
        for name, layer in layers.items()
        if layer is not None
    ]
    return f"largest error that a layer adds: {'; '.join(texts)}" if texts else ""


def table(models: Sequence[dict]) -> dict:
    """The errors of all layers in all files, for the page.

    Args:
        models: The models of `report.json`.

    Returns:
        `files`, the names without `student.`; `rows`, a dict for each layer: `layer`,
        its name, and `cells`, one for each file: None, or the entry of
        `model["layers"]` with its `shade`, from 0 (pale) to `STEPS`, and whether it is
        the `worst` of the file.
    """
    measured = [model for model in models if model.get("layers")]
    by_file = [
        {x["layer"]: _cell(x, model) for x in model["layers"]} for model in measured
    ]
    layers = dict.fromkeys(name for cells in by_file for name in cells)
    return {
        "files": [_short_name(model) for model in measured],
        "rows": [
            {"layer": name, "cells": [cells.get(name) for cells in by_file]}
            for name in layers
        ],
    }


def _cell(layer, model):
    return {
        **layer,
        "shade": shade(layer["own_error"]),
        "worst": layer is worst(model),
    }


def shade(error: float | None) -> int:
    """The shade of a share of what is right: 0 (pale) to `STEPS`."""
    if not error:
        return 0
    # A shade for half a decade: see `DARKEST`.
    step = STEPS + 2 * math.log10(error / DARKEST)
    return min(STEPS, max(0, math.ceil(step)))


def _short_name(model):
    return model["name"].removeprefix("student.")
