"""Says to which operations of TensorFlow the time of a training step goes."""

import contextlib
import pathlib
import re
import tempfile
import time
from collections.abc import Iterable

import keras
import tabulate

from distill import config
from distill.runtime.errors import ConfigError
from distill.studies.speed import steps
from distill.teach.hardware import training

# How TensorFlow names what the profiler saw of an operation: its name and its type.
_OPERATION = re.compile(r"[^\s:]+:(\w+)")


def check(run: config.Run) -> None:
    """Checks that TensorFlow runs a step of the run operation by operation on a CPU.

    Raises:
        ConfigError: If it does not.
    """
    if keras.backend.backend() != "tensorflow":
        raise ConfigError(
            "--operations needs KERAS_BACKEND=tensorflow, whose profiler it reads. "
            f"Received: {keras.backend.backend()}"
        )
    if run.hardware.jit == "true":
        raise ConfigError(
            "--operations needs `hardware.jit: false`: XLA makes one operation of a "
            "whole step. Received: true"
        )
    device = keras.distribution.list_devices()[0]
    if not device.startswith("cpu"):
        raise ConfigError(
            "--operations reads the times of a CPU, with the accelerators hidden "
            f"(CUDA_VISIBLE_DEVICES=-1). Received: {device}"
        )


def profile(run: config.Run, count: int) -> list[dict]:
    """Profiles training steps of each stage on random examples.

    Steps are those of `steps.time_methods`: a live teacher, or its cached answers with
    `teacher.cache`; stochastic gradient descent.

    Args:
        run: The run, see `check`. Its networks are not trained further than the steps.
        count: Number of steps that are profiled, and as many without the profiler.

    Returns:
        For each stage: `name`; `seconds` of a step without the profiler;
        `profiled_seconds` with it; `operations`, each type of operation to its `count`
        and its `seconds` in a step, the longest first; and `idle_seconds`, the part of
        a profiled step in which no operation ran. If several threads run operations at
        once, these take more time together than the step.
    """
    networks = steps.open_pair(run)
    return [_profile_stage(run, stage, *networks, count) for stage in run.stages]


def _profile_stage(run, stage, teacher, student, count):
    import tensorflow as tf  # Other backends do not have it.

    batch = steps.random_batch(run)
    learner, step = steps.build_step(run, stage.trainer, teacher, student, batch)
    step = steps.cached_step(run, stage.trainer, learner, batch) or step
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(training.scope(learner, run.hardware.precision))
        _seconds(step, steps.WARMUP)
        seconds = _seconds(step, count)
        with tf.profiler.experimental.Profile(folder):
            profiled = _seconds(step, count)
        (trace,) = pathlib.Path(folder).rglob("*.xplane.pb")
        threads = _read(trace)
    types, busy = _sum_up(threads)
    return {
        "name": stage.name,
        "seconds": seconds / count,
        "profiled_seconds": profiled / count,
        "idle_seconds": (profiled - busy) / count,
        "operations": {
            kind: {"count": number / count, "seconds": time / count}
            for kind, (number, time) in sorted(types.items(), key=lambda x: -x[1][1])
        },
    }


def _seconds(step, count):
    start = time.perf_counter()
    for _ in range(count):
        step()
    return time.perf_counter() - start


def _read(trace):
    """For each thread, its operations as `(start, end, type)` in picoseconds."""
    # Imports TensorFlow, which other backends do not have.
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace.FromString(trace.read_bytes())
    (plane,) = (each for each in space.planes if each.name == "/host:CPU")
    threads = []
    for line in plane.lines:
        operations, base = [], 1000 * line.timestamp_ns
        for event in line.events:
            name = plane.event_metadata[event.metadata_id].name
            if match := _OPERATION.fullmatch(name):
                start = base + event.offset_ps
                operations.append((start, start + event.duration_ps, match[1]))
        threads.append(operations)
    return threads


def _sum_up(
    threads: Iterable[list[tuple[int, int, str]]],
) -> tuple[dict[str, tuple[int, float]], float]:
    """Adds up what several threads did.

    Args:
        threads: For each, operations as `(start, end, type)` in picoseconds. One that
            lies within another was called by it.

    Returns:
        Type to the number of its operations and their seconds, without those of the
        operations that they called; and the seconds in which any operation ran.
    """
    types: dict[str, tuple[int, float]] = {}

    def add(kind, number, picoseconds):
        count, seconds = types.get(kind, (0, 0.0))
        types[kind] = count + number, seconds + picoseconds / 1e12

    spans = []
    for operations in threads:
        callers: list[tuple[int, str]] = []  # End and type of those still running.
        # A caller may start together with its first operation: the longer goes first.
        for start, end, kind in sorted(operations, key=lambda x: (x[0], -x[1])):
            while callers and callers[-1][0] <= start:
                callers.pop()
            if callers:
                add(callers[-1][1], 0, start - end)
            else:
                spans.append((start, end))
            add(kind, 1, end - start)
            callers.append((end, kind))
    busy, until = 0, 0
    for start, end in sorted(spans):
        busy += max(end - max(start, until), 0)
        until = max(until, end)
    return types, busy / 1e12


def table(result: dict) -> str:
    """Formats the results of `profile` for the console."""
    tables = []
    for stage in result["stages"]:
        types, idle = stage["operations"], stage["idle_seconds"]
        whole = idle + sum(each["seconds"] for each in types.values())
        rows = [
            [kind, f"{each['count']:.0f}", each["seconds"]]
            for kind, each in types.items()
        ]
        rows.append(["no operation", "", idle])
        lines = [
            [kind, count, f"{1000 * seconds:.2f}", f"{100 * seconds / whole:.1f} %"]
            for kind, count, seconds in rows
            if seconds / whole >= 0.001
        ]
        headers = [stage["name"], "in a step", "ms", "share"]
        align = ["left", "right", "right", "right"]
        tables.append(
            tabulate.tabulate(lines, headers, colalign=align, disable_numparse=True)
        )
        took, profiled = 1000 * stage["seconds"], 1000 * stage["profiled_seconds"]
        tables.append(f"a step: {took:.1f} ms, with the profiler {profiled:.1f} ms\n")
    return "\n".join(tables).rstrip()
