"""Measures the speed of learners on one core."""

import contextlib
import math
import os
import pathlib
import time
from collections.abc import Mapping

import numpy as np

from distill.studies.tabular.learners import Predictor


def rows_per_second(
    models: Mapping[str, Predictor], features: np.ndarray, repeats: int
) -> dict[str, float]:
    """Measures how many rows per second each model predicts on one core.

    The models take turns, so that other work on the machine affects all alike.

    Args:
        models: Name to fitted learner.
        features: The rows, predicted in one call.
        repeats: Number of turns; the fastest counts.

    Returns:
        Name to rows per second.
    """
    best = dict.fromkeys(models, math.inf)
    with one_core():
        for _ in range(repeats):
            for name, predict in models.items():
                start = time.perf_counter()
                predict(features)
                # Other work can only make a turn slower.
                best[name] = min(best[name], time.perf_counter() - start)
    return {name: len(features) / seconds for name, seconds in best.items()}


@contextlib.contextmanager
def one_core():
    """Restricts every thread of this process to one core, if the system can."""
    # macOS and Windows have no such call.
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    _restrict_threads({min(cores)})
    try:
        yield
    finally:
        _restrict_threads(cores)


def _restrict_threads(cores):
    # The system call changes one thread, not the whole process.
    for task in pathlib.Path("/proc/self/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # The thread has ended.
            os.sched_setaffinity(int(task.name), cores)
