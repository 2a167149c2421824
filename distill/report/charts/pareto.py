"""The Pareto front: the files that no other dominates in size and accuracy."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from distill.measure import latency
from distill.report.charts import scores
from distill.runtime import formats


def dominated(
    size: Sequence[float] | np.ndarray, accuracy: Sequence[float]
) -> np.ndarray:
    """Which models are dominated: another is no larger, no worse, and not equal.

    Args:
        size: Bytes, `(n,)`; or `(n, 2)`, from and to: two that overlap are equal.
        accuracy: Percent, `(n,)`.

    Returns:
        bool, `(n,)`.
    """
    accuracy, sizes = np.asarray(accuracy, float), np.asarray(size, float)
    low, high = sizes.T if sizes.ndim == 2 else (sizes, sizes)
    smaller = high[None] < low[:, None]
    # Intervals that overlap: neither is smaller.
    equal = ~(smaller | smaller.T)
    better = accuracy[None] > accuracy[:, None]
    as_good = accuracy[None] >= accuracy[:, None]
    return (smaller & as_good | equal & better).any(axis=1)


@dataclasses.dataclass(frozen=True)
class Measure:
    """A cost that is compared with accuracy.

    Attributes:
        key: Its key in a model of `report.json`.
        title: Its name in charts.
        text: Formats a value for an axis.
    """

    key: str
    title: str
    text: Callable[[float], str]

    def of(self, model: dict) -> float | None:
        """The value of a model; None if it was not measured."""
        value = model.get(self.key)
        return value["median"] if isinstance(value, dict) else value

    def spread(self, model: dict) -> tuple[float, float]:
        """From and to: what a model's value cannot be told from."""
        value = model[self.key]
        if isinstance(value, dict):
            return latency.bounds(value)
        return value, value


MEASURES = {
    "bytes": Measure("bytes", "size of the file", formats.file_size),
    "gzip_bytes": Measure(
        "gzip_bytes", "size of the file through gzip", formats.file_size
    ),
    "packed_bytes": Measure(
        "packed_bytes", "size of the file packed, in transfer", formats.file_size
    ),
    "arena_bytes": Measure("arena_bytes", "arena in TFLite Micro", formats.file_size),
    "macs": Measure("macs", "multiply-adds for one image", formats.short),
    "latency_ms": Measure("latency_ms", "milliseconds for one image", formats.plain),
    "latency_all_threads_ms": Measure(
        "latency_all_threads_ms",
        "milliseconds for one image, all threads",
        formats.plain,
    ),
}


def measures(models: Sequence[dict]) -> dict[str, Measure]:
    """Those of `MEASURES` that the models have a key for.

    Args:
        models: The models of `report.json`.
    """
    keys = {key for model in models for key in model}
    return {key: measure for key, measure in MEASURES.items() if key in keys}


def beaten(models: Sequence[dict], measure: Measure) -> dict[str, bool]:
    """Finds which models are not on the front.

    A failed model is not on the front, and dominates no other.

    Args:
        models: The models of `report.json`.
        measure: The cost to compare with accuracy.

    Returns:
        Name of each model that has the measure to whether it is not on the front.
    """
    measured = [model for model in models if measure.of(model)]
    sound = [model for model in measured if not model["failed"]]
    # `reshape` keeps the two columns if every model has failed.
    spreads = np.array([measure.spread(m) for m in sound], float).reshape(-1, 2)
    is_dominated = dominated(spreads, [scores.of_test(m) for m in sound])
    names = (model["name"] for model in sound)
    known = dict(zip(names, map(bool, is_dominated), strict=True))
    return {model["name"]: known.get(model["name"], True) for model in measured}


def smallest(models: Sequence[dict]) -> dict | None:
    """The smallest exported student that broke no promise; None if there is none.

    Of files that were run in TFLite Micro, it is one that runs there; of others, one
    without ops that LiteRT does not have.

    Of files of equal size it is the most accurate on the validation split; the test
    split is never used to choose.

    Args:
        models: The models of `report.json`.
    """
    passing = [
        model
        for model in models
        if model["name"].startswith("student.") and not model["failed"] and _runs(model)
    ]
    return min(
        passing, key=lambda m: (m["bytes"], -scores.of_validation(m)), default=None
    )


def _runs(model):
    """Whether a file runs where it is meant to."""
    if "micro" in model:
        return not model["micro"]["reason"]
    return "CUSTOM" not in model.get("ops", ())
