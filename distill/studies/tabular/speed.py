"""How fast learners answer, on one core."""

import contextlib
import math
import os
import pathlib
import time
from collections.abc import Mapping

import numpy as np

from distill.studies.tabular.learners import Answers


def rows_per_second(
    models: Mapping[str, Answers], features: np.ndarray, repeats: int
) -> dict[str, float]:
    """How fast each model answers on one core.

    The models take turns, so that what else the machine does meets all alike.

    Args:
        models: Name to fitted learner.
        features: What they are asked, all at once.
        repeats: Turns; the fastest counts.

    Returns:
        Name to rows a second.
    """
    best = dict.fromkeys(models, math.inf)
    with one_core():
        for _ in range(repeats):
            for name, answer in models.items():
                start = time.perf_counter()
                answer(features)
                best[name] = min(best[name], time.perf_counter() - start)
    return {name: len(features) / seconds for name, seconds in best.items()}


@contextlib.contextmanager
def one_core():
    """Holds every thread of this process to one core, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    _hold({min(cores)})
    try:
        yield
    finally:
        _hold(cores)


def _hold(cores):
    for task in pathlib.Path("/proc/self/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # It has ended meanwhile.
            os.sched_setaffinity(int(task.name), cores)
