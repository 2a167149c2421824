"""Measures the latency of calls, with a confidence interval."""

import contextlib
import gc
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

SECONDS = 1.0  # Of calls of each function; `DISTILL_LATENCY_SECONDS` overrides it.
ROUNDS = 10
# Of one turn, at most: what rounds differ by is the machine's load, which more calls in
# the same turn do not make smaller.
CALLS = 500
# The true median is between the second and the ninth of ten with 98 %: at most one of
# ten samples is below it in 11 of 1024 cases, and above it in as many.
_LOW, _HIGH = 1, -2
_WARM_UP = 10  # One part of so many of a turn comes before it, and does not count.


def time_calls(
    runs: Mapping[str, Callable[[], Any]],
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, dict[str, Any]]:
    """Times calls of several functions, which alternate in `ROUNDS` rounds.

    Other load of the machine affects all functions alike, and shows as the spread of
    a function's rounds. Each function is called for at least `SECONDS`, or `CALLS`
    times in each round. The first calls of each turn do not count, since the other
    functions have replaced the caches.

    Args:
        runs: Name to function.
        clock: A function that returns the time in seconds.

    Returns:
        Name to a record in milliseconds: `median` of the rounds' medians; `low` and
        `high`, its confidence interval of 98 %; `p90` of all calls. And `runs`, the
        number of calls that count.
    """
    seconds = float(os.environ.get("DISTILL_LATENCY_SECONDS", SECONDS))
    turn = seconds / ROUNDS
    rounds: dict[str, list[np.ndarray]] = {name: [] for name in runs}
    with _without_garbage_collection():
        for run in runs.values():
            _calls(run, turn, CALLS, clock)  # A first call allocates and initializes.
        for _ in range(ROUNDS):
            for name, run in runs.items():
                _calls(run, turn / _WARM_UP, CALLS // _WARM_UP, clock)
                rounds[name].append(_calls(run, turn, CALLS, clock))
    return {name: _record(times) for name, times in rounds.items()}


def differ(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Whether the intervals of two records, measured in one call, do not overlap."""
    if one is None or other is None:
        return False
    (low, high), (least, most) = bounds(one), bounds(other)
    return low > most or least > high


def bounds(record: Mapping[str, Any]) -> tuple[float, float]:
    """The interval of a record; in older reports, which have none, the median."""
    return record.get("low", record["median"]), record.get("high", record["median"])


def _calls(run, seconds, most, clock):
    """Milliseconds of each call, for at least these seconds or as many calls."""
    times, spent = [], 0.0
    while not times or (spent < seconds and len(times) < most):
        start = clock()
        run()
        times.append(clock() - start)
        spent += times[-1]
    return 1000 * np.array(times)


def _record(rounds):
    medians = sorted(float(np.median(times)) for times in rounds)
    every = np.concatenate(rounds)
    return {
        "median": float(np.median(medians)),
        "low": medians[_LOW],
        "high": medians[_HIGH],
        "p90": float(np.percentile(every, 90)),
        "runs": len(every),
    }


@contextlib.contextmanager
def _without_garbage_collection():
    """Disables garbage collection, whose pauses would be part of a call."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
