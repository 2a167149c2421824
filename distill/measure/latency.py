"""How long calls take, and how surely that is known."""

import contextlib
import gc
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

SECONDS = 1.0  # Of calls each, unless `DISTILL_LATENCY_SECONDS` says otherwise.
ROUNDS = 10
# The median is between the second and the ninth of ten, with 98 %: of ten draws, one
# or none is below it in 11 of 1024 cases, likewise above.
_LOW, _HIGH = 1, -2
_REST = 0.1  # Of a turn: so long a file is called first, uncounted.


def timed(
    runs: Mapping[str, Callable[[], Any]],
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, dict[str, Any]]:
    """How long calls take, of functions that take turns in `ROUNDS` rounds.

    What else the machine does meets all alike, and shows as the spread of a function's
    rounds. Each function is called for `SECONDS`, at least. Each turn begins with calls
    that do not count: the others have taken the caches.

    Args:
        runs: Name to function.
        clock: Seconds.

    Returns:
        Name to milliseconds: `median` of the rounds' medians; `low` and `high`, an
        interval of 98 % for it; `p90` of all calls. And `runs`, calls that counted.
    """
    seconds = float(os.environ.get("DISTILL_LATENCY_SECONDS", SECONDS))
    turn = seconds / ROUNDS
    rounds: dict[str, list[np.ndarray]] = {name: [] for name in runs}
    with _uncollected():
        for run in runs.values():
            _calls(run, turn, clock)  # All that a first call sets up.
        for _ in range(ROUNDS):
            for name, run in runs.items():
                _calls(run, _REST * turn, clock)
                rounds[name].append(_calls(run, turn, clock))
    return {name: _record(times) for name, times in rounds.items()}


def differ(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Whether two records, measured in turn, are further apart than they spread."""
    if one is None or other is None:
        return False
    (low, high), (least, most) = bounds(one), bounds(other)
    return low > most or least > high


def bounds(record: Mapping[str, Any]) -> tuple[float, float]:
    """The interval of a record; reports of earlier versions know the median alone."""
    return record.get("low", record["median"]), record.get("high", record["median"])


def _calls(run, seconds, clock):
    """Milliseconds of each call, until they have taken so long; one at least."""
    times, spent = [], 0.0
    while not times or spent < seconds:
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
def _uncollected():
    """Keeps Python from tidying up in the middle of a call."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
