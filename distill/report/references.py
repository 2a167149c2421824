"""What is said of files that were made elsewhere and measured beside a run's own."""

from collections.abc import Sequence

from distill.runtime import formats


def lines(models: Sequence[dict]) -> list[str]:
    """One line for each reference: where it is from, and how sure its accuracy is.

    Args:
        models: The models of `report.json`.
    """
    return [
        f"{model['name']} was not made here: {model['file']}{_given(model)}; on "
        f"{_bounds(model)} % of examples like these it is right, with 95 % confidence"
        for model in models
        if "reference" in model
    ]


def _given(model):
    low, high = model["reference"]["input_range"]
    if (low, high) == (0, 1):
        return ""
    return f", given numbers from {low:g} to {high:g}"


def _bounds(model):
    return " to ".join(map(formats.percent, model["reference"]["interval"]))
