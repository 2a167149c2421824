"""Statistics over a few seeds: mean, standard deviation, and paired differences."""

import math
from collections.abc import Sequence

import numpy as np

from distill.runtime import formats


def format_interval(difference: dict) -> str:
    """The interval of a `paired_difference` in points; a dash if there is none."""
    if difference["low"] is None:
        return formats.NOTHING
    return (
        f"[{formats.signed(difference['low'])}, {formats.signed(difference['high'])}]"
    )


CONFIDENCE = 0.95
# As a share of the values. Differences whose spread is smaller are counted as equal:
# subtracting decimals such as 97.66 leaves noise of about 1e-14.
ROUNDING = 1e-9


def summary(values: Sequence[float]) -> dict:
    """Mean and standard deviation of one number over seeds.

    Args:
        values: One number per seed; at least one.

    Returns:
        `mean`; `sd`, the sample standard deviation (divided by n - 1), None for
        a single value; `n`; and the `values`.
    """
    values = [float(value) for value in values]
    several = len(values) > 1
    return {
        "mean": float(np.mean(values)),
        "sd": float(np.std(values, ddof=1)) if several else None,
        "n": len(values),
        "values": values,
    }


def paired_difference(
    ours: Sequence[float], theirs: Sequence[float], *, test_to_train: float = 0.0
) -> dict:
    """The difference of two numbers, ours minus theirs, paired by seed.

    What the two share in a seed (teacher, initial weights, order of the batches)
    cancels out, so the interval is narrower than that of two separate means.

    Args:
        ours: One number per seed.
        theirs: Numbers of the same seeds, in the same order.
        test_to_train: Ratio of test rows to training rows, if every seed draws both
            anew from one table. The seeds then share rows, and the interval is that
            of the corrected resampled t. Otherwise 0.

    Returns:
        The `summary` of the differences; `low` and `high`, the two-sided
        interval of Student's t with n - 1 degrees of freedom at `CONFIDENCE`;
        and `clear_of_zero`, whether zero is outside it. All three are None for a
        single seed. Differences that are all equal have no interval, since they show
        no spread, and are not clear of zero.

    Raises:
        ValueError: If the two have different lengths.

    Source:
        Student, "The Probable Error of a Mean", Biometrika 6, 1908. Nadeau and
        Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003,
        section 4.
    """
    result = summary([a - b for a, b in zip(ours, theirs, strict=True)])
    if result["n"] < 2:
        return {**result, "low": None, "high": None, "clear_of_zero": None}
    if result["sd"] <= ROUNDING * np.max(np.abs([ours, theirs])):
        return {**result, "low": None, "high": None, "clear_of_zero": False}
    from scipy import special

    quantile = special.stdtrit(result["n"] - 1, (1 + CONFIDENCE) / 2)
    # Draws that share rows vary less than independent ones: the correction adds the
    # ratio to 1 / n.
    half = float(quantile) * result["sd"] * math.sqrt(1 / result["n"] + test_to_train)
    low, high = result["mean"] - half, result["mean"] + half
    return {**result, "low": low, "high": high, "clear_of_zero": low > 0 or high < 0}
