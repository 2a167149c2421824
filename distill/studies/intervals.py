"""What a few seeds say: mean, standard deviation, and paired differences."""

import math
from collections.abc import Sequence

import numpy as np

from distill.runtime import formats


def interval(difference: dict) -> str:
    """The interval in points, or a dash."""
    if difference["low"] is None:
        return formats.NOTHING
    return (
        f"[{formats.signed(difference['low'])}, {formats.signed(difference['high'])}]"
    )


CONFIDENCE = 0.95
ROUNDING = 1e-9  # Of the values: differences that are nearer to each other are equal.


def summary(values: Sequence[float]) -> dict:
    """Mean and spread of one number over seeds.

    Args:
        values: One a seed; at least one.

    Returns:
        `mean`; `sd`, the sample standard deviation (divided by n - 1), None of
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
    """How much larger the one is than the other, seed by seed.

    What the two share in a seed (teacher, first weights, order of the batches)
    falls out of the difference, which makes it sharper than two means.

    Args:
        ours: One number a seed.
        theirs: Of the same seeds, in the same order.
        test_to_train: Where every seed draws its training and its test rows anew from
            one table, test rows for each training row; the seeds then share rows, and
            the interval is that of the corrected resampled t. Else 0.

    Returns:
        As `summary`, of the differences; `low` and `high`, the two-sided
        interval of Student's t with n - 1 degrees of freedom at `CONFIDENCE`;
        and whether it is `clear_of_zero`. All three are None of a single seed.
        Differences that are all equal show no spread: they have no interval, and
        are not clear of zero.

    Raises:
        ValueError: If the two are not equally many.

    Source:
        Student, "The Probable Error of a Mean", Biometrika 6, 1908. Nadeau and
        Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003,
        section 4.
    """
    found = summary([a - b for a, b in zip(ours, theirs, strict=True)])
    if found["n"] < 2:
        return {**found, "low": None, "high": None, "clear_of_zero": None}
    if found["sd"] <= ROUNDING * np.max(np.abs([ours, theirs])):
        return {**found, "low": None, "high": None, "clear_of_zero": False}
    from scipy import special

    quantile = special.stdtrit(found["n"] - 1, (1 + CONFIDENCE) / 2)
    half = float(quantile) * found["sd"] * math.sqrt(1 / found["n"] + test_to_train)
    low, high = found["mean"] - half, found["mean"] + half
    return {**found, "low": low, "high": high, "clear_of_zero": low > 0 or high < 0}
