"""Axes of charts, linear or logarithmic, with ticks at round numbers."""

import math
from typing import Any


def axis(
    low: float,
    high: float,
    start: float,
    end: float,
    *,
    log: bool = False,
    whole: bool = False,
) -> dict[str, Any]:
    """An axis that maps values to pixels.

    Args:
        low: The value at `start`; positive if `log`.
        high: The value at `end`; larger than `low`.
        start: Position of `low` in pixels.
        end: Position of `high` in pixels.
        log: Whether the axis is logarithmic.
        whole: Whether ticks must be whole numbers.

    Returns:
        `at`, a function from value to pixels; `ticks`, round values; and `low`.
    """
    a, b = (math.log(low), math.log(high)) if log else (low, high)

    def at(value):
        return start + ((math.log(value) if log else value) - a) / (b - a) * (
            end - start
        )

    ticks = _log_ticks(low, high) if log else _ticks(low, high, whole)
    return {"at": at, "ticks": ticks, "low": low}


def _ticks(low, high, whole):
    """About five ticks, at multiples of 1, 2 or 5 times a power of ten."""
    least = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(least))
    # The factor and the 1e-9 below allow for rounding errors.
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= least * 0.999)
    step = max(step, 1.0) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def _log_ticks(low, high):
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    # Within two and a half decades, powers of ten alone would be too few ticks.
    factors = (1, 2, 5) if high < 300 * low else (1,)
    ticks = [factor * 10.0**power for power in powers for factor in factors]
    stride = -(-len(powers) // 6) if len(factors) == 1 else 1
    return [tick for tick in ticks if low <= tick <= high][::stride]


def pad(low, high, log):
    """The range with a margin at both ends, so that no line touches the frame."""
    if log:
        return low / (high / low) ** 0.05, high * (high / low) ** 0.05
    # `or`: all values are equal, for example after one epoch.
    room = 0.06 * (high - low) or max(abs(high), 1.0) * 0.1
    return low - room, high + room
