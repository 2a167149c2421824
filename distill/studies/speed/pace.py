"""Measures the speed of a run's stages in `fit`, and the time spent waiting for input.

`python -m distill.studies.speed.pace CONFIG STEPS`, which `trial` starts, prints the
result as JSON.
"""

import argparse
import dataclasses
import json
import pathlib
import tempfile
import time
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np

from distill import config, data
from distill.measure import folded
from distill.runtime.process import command, memory
from distill.runtime.resume import checkpoint, resume
from distill.teach import stages, teacher
from distill.teach.hardware import feeding, training
from distill.teach.learner import build_learner
from distill.teach.networks import build
from distill.teach.workspace import Workspace

# Executions that are not timed: the first traces, and meanwhile a thread reads batches
# ahead, which the next ones get without waiting.
WARMUP = 5


class Pace(NamedTuple):
    """The times of one stage's steps.

    Attributes:
        seconds: Time from the end of a step to the end of the next, for each step.
        waited: The part of it until the step had its batch, for each step.
    """

    seconds: list[float]
    waited: list[float]

    @property
    def share(self) -> float:
        """The share of the time that was spent waiting for input."""
        return float(np.sum(self.waited) / np.sum(self.seconds))


class Clock(keras.callbacks.Callback):
    """Times each step of a `fit`, and its wait for a batch.

    The wait is the time in which the training loop cannot continue. Work on input that
    another thread finishes in time does not count; work in this thread does.
    """

    def __init__(self):
        super().__init__()
        self.seconds: list[float] = []
        self.waited: list[float] = []

    def on_train_begin(self, logs=None):
        """Replaces the model's step by one that also times the reading of batches."""
        self._step = self.model.train_function
        self.model.train_function = self._run_step
        self._start, self._wait = time.perf_counter(), 0.0

    def on_train_end(self, logs=None):
        """Restores the model's step."""
        self.model.train_function = self._step

    def on_train_batch_end(self, batch, logs=None):
        """Notes the times of a step, after the device has finished it."""
        # Reading the metrics waits for the device, which works asynchronously.
        for value in logs.values():
            float(value)
        now = time.perf_counter()
        self.seconds.append(now - self._start)
        self.waited.append(self._wait)
        self._start, self._wait = now, 0.0

    def _run_step(self, *arguments):
        *state, batches = arguments  # On JAX, the step also takes the state.
        if isinstance(batches, list):  # On PyTorch, `fit` has read the batches before.
            self._wait = time.perf_counter() - self._start
            return self._step(*state, batches)
        return self._step(*state, self._read(batches))

    def _read(self, batches):
        batches = iter(batches)
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            self._wait += time.perf_counter() - start
            if batch is None:
                return
            yield batch


def trained_stages(run: config.Run) -> list[tuple[str, config.Stage]]:
    """The different stages of teacher, student and controls.

    Returns:
        Pairs of a network's name and a stage. Stages with the same method, source of
        synthetic examples and share of labelled ones are one, the first, with the sum
        of their epochs.
    """
    networks = [("student", run.stages), *((c.name, c.stages) for c in run.controls)]
    equal: dict[tuple, list] = {}
    for name, own_stages in networks:
        for stage in own_stages:
            key = stage.trainer, stage.synthetic, stage.labelled_share
            equal.setdefault(key, []).append((name, stage))
    result = [("teacher", stage) for stage in run.teacher.stages]
    for (name, first), *others in equal.values():
        epochs = first.epochs + sum(stage.epochs for _, stage in others)
        result.append((name, dataclasses.replace(first, epochs=epochs)))
    return result


def measure(
    run: config.Run,
    splits: data.Splits,
    which: list[tuple[str, config.Stage]],
    steps: int,
    teacher_network: keras.Model | None = None,
) -> list[Pace]:
    """Trains for a few steps of each stage as a run would, from untrained networks.

    The teacher always computes its answers, even if the run would cache them.

    Args:
        run: The run.
        splits: The run's data.
        which: The stages; see `trained_stages`.
        steps: Number of timed steps, after the warm-up. It is rounded up to whole
            executions of `hardware.steps_per_execution` steps.
        teacher_network: The teacher. None means that it is built, if a stage needs one.
    """
    needs_teacher = any(stage.trainer.needs_teacher for _, stage in which)
    if teacher_network is None and needs_teacher:
        teacher_network = open_teacher(run)
    return [
        _measure_stage(
            run,
            splits,
            name,
            stage,
            None if name == "teacher" else teacher_network,
            steps,
        )
        for name, stage in which
    ]


def open_teacher(run: config.Run) -> keras.Model:
    """The teacher, from its file if the run has one; otherwise untrained."""
    has_file = run.teacher.file is not None
    return teacher.open_given(run) if has_file else build.build("teacher", run)


def _measure_stage(run, splits, name, stage, teacher_network, steps):
    generator = None
    if stage.synthetic is not None and stage.synthetic.needs_generator:
        part = run.generator.network
        generator = part.build(run.data.input_shape, run.data.num_classes)
    source = stages.build_batches(
        Workspace(run, splits, pathlib.Path()),
        stage,
        0,
        teacher=teacher_network,
        generator=generator,
    )
    network = build.build(name, run)
    answering = None
    if stage.trainer.needs_teacher:
        examples = splits.validation.sample(folded.EXAMPLES, run.seed)
        answering = folded.answering(teacher_network, examples.floats())
    learner = build_learner(run, stage, source, network, teacher_network, answering)
    per_execution = run.hardware.steps_per_execution
    count = (WARMUP + -(-steps // per_execution)) * per_execution
    clock = Clock()
    with (
        tempfile.TemporaryDirectory() as folder,
        training.scope(learner, run.hardware.precision),
    ):
        resume.fit(
            learner,
            resume.Source(count, feeding.read_ahead(source).stream),
            callback=keras.callbacks.Callback,
            epochs=1,
            store=checkpoint.Store(pathlib.Path(folder), "pace"),
            variables=lambda: learner.moving_variables,
            callbacks=lambda past: [clock],
            shuffle=False,
            verbose=0,
        )
    times = clock.seconds, clock.waited
    return Pace(*(list(each[WARMUP:]) for each in times))


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the speed of all of a run's stages, and the peak memory."""
    flags = argparse.ArgumentParser(prog="python -m distill.studies.speed.pace")
    flags.add_argument("config")
    flags.add_argument("steps", type=int, help="number of timed steps of each stage")
    return command.run_command(_command, flags, argv)


def _command(arguments):
    run = config.load(arguments.config)
    splits = run.data.load()
    which = trained_stages(run)
    rates, seconds_per_image, epochs = [], 0.0, 0
    for (network, stage), times in zip(
        which, measure(run, splits, which, arguments.steps), strict=True
    ):
        seconds = float(np.median(times.seconds)) / run.hardware.steps_per_execution
        rate = run.batch_size / seconds
        rates.append(
            {"network": network, "name": stage.name, "images_per_second": rate}
        )
        # Weighted by epochs: the rate of the whole training, not a mean of rates.
        seconds_per_image += stage.epochs / rate
        epochs += stage.epochs
    result = {
        "images_per_second": epochs / seconds_per_image,
        "peak_memory_bytes": memory.peaks()["training"],
        "examples": len(splits.train.labels),
        "stages": rates,
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
