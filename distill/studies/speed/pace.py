"""How fast a run's stages train where `fit` feeds them, and what that waits for.

`python -m distill.studies.speed.pace CONFIG STEPS`, started by `trial`, prints it as
JSON.
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
from distill.runtime.process import command, memory
from distill.runtime.resume import checkpoint, resume
from distill.teach import stages, teacher
from distill.teach.hardware import feeding, fused, precision
from distill.teach.learner import build_learner
from distill.teach.networks import build
from distill.teach.workspace import Workspace

WARMUP = 5  # Executions that trace, and empty what was read ahead meanwhile.


class Pace(NamedTuple):
    """What the steps of one stage took.

    Attributes:
        seconds: From the end of a step to the end of the next, one number a step.
        waited: Of these, until the step had its batch.
    """

    seconds: list[float]
    waited: list[float]

    @property
    def share(self) -> float:
        """Of the time, the share that was spent waiting for input."""
        return float(np.sum(self.waited) / np.sum(self.seconds))


class Clock(keras.callbacks.Callback):
    """Takes the time of each step of a `fit`, and of its wait for a batch.

    The wait is what the training loop itself is held up by: work on input that
    another thread has done in time does not count, work in this thread does.
    """

    def __init__(self):
        super().__init__()
        self.seconds: list[float] = []
        self.waited: list[float] = []

    def on_train_begin(self, logs=None):
        """Stands between the loop's batches and its step."""
        self._step = self.model.train_function
        self.model.train_function = self._timed
        self._begun, self._wait = time.perf_counter(), 0.0

    def on_train_end(self, logs=None):
        """Leaves the model as it was."""
        self.model.train_function = self._step

    def on_train_batch_end(self, batch, logs=None):
        """The end of a step, once the device has made it."""
        for value in logs.values():
            float(value)
        now = time.perf_counter()
        self.seconds.append(now - self._begun)
        self.waited.append(self._wait)
        self._begun, self._wait = now, 0.0

    def _timed(self, *arguments):
        *state, given = arguments  # JAX hands the state on.
        if isinstance(given, list):  # PyTorch's loop has read them already.
            self._wait = time.perf_counter() - self._begun
            return self._step(*state, given)
        return self._step(*state, self._reading(given))

    def _reading(self, given):
        given = iter(given)
        while True:
            start = time.perf_counter()
            batch = next(given, None)
            self._wait += time.perf_counter() - start
            if batch is None:
                return
            yield batch


def trained_stages(run: config.Run) -> list[tuple[str, config.Stage]]:
    """Every different stage of a run: the name of its network, and the stage.

    Those of teacher, student and controls. Of several by one method, the first stands
    for all: it has the epochs of all.
    """
    learned = [("student", run.stages), *((c.name, c.stages) for c in run.controls)]
    alike: dict[tuple, list] = {}
    for name, steps in learned:
        for stage in steps:
            key = stage.trainer, stage.synthetic
            alike.setdefault(key, []).append((name, stage))
    found = [("teacher", stage) for stage in run.teacher.stages]
    for (name, first), *others in alike.values():
        epochs = first.epochs + sum(stage.epochs for _, stage in others)
        found.append((name, dataclasses.replace(first, epochs=epochs)))
    return found


def measure(
    run: config.Run,
    splits: data.Splits,
    which: list[tuple[str, config.Stage]],
    steps: int,
    asked: keras.Model | None = None,
) -> list[Pace]:
    """Trains for a few steps of each stage as a run would, from untrained networks.

    The teacher is live where answers would be kept.

    Args:
        run: The run.
        splits: Its data.
        which: See `trained`.
        steps: That are timed, after those that warm up; whole executions, of which
            `hardware.steps_per_execution` may ask for a few more steps.
        asked: The teacher; None lets it be built, where a stage needs one.
    """
    if asked is None and any(stage.trainer.needs_teacher for _, stage in which):
        given = run.teacher.file is not None
        asked = teacher.open_given(run) if given else build.build("teacher", run)
    return [
        _paced(run, splits, name, stage, None if name == "teacher" else asked, steps)
        for name, stage in which
    ]


def _paced(run, splits, name, stage, asked, steps):
    maker = None
    if stage.synthetic is not None and stage.synthetic.needs_generator:
        part = run.generator.network
        maker = part.build(run.data.input_shape, run.data.num_classes)
    source = stages.build_batches(
        Workspace(run, splits, pathlib.Path()), stage, 0, teacher=asked, generator=maker
    )
    network = build.build(name, run)
    learner = build_learner(run, stage, source, network, asked)
    at_once = run.hardware.steps_per_execution
    count = (WARMUP + -(-steps // at_once)) * at_once
    clock = Clock()
    with (
        tempfile.TemporaryDirectory() as folder,
        precision.scope(learner, run.hardware.precision),
        fused.for_training(learner),
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
    return Pace(*(list(taken[WARMUP:]) for taken in times))


def main(argv: Sequence[str] | None = None) -> int:
    """Prints how fast all of a run's stages train, and the memory that it took."""
    flags = argparse.ArgumentParser(prog="python -m distill.studies.speed.pace")
    flags.add_argument("config")
    flags.add_argument("steps", type=int, help="that are timed, of each stage")
    return command.run_command(_command, flags, argv)


def _command(arguments):
    run = config.load(arguments.config)
    splits = run.data.load()
    which = trained_stages(run)
    told, spent, epochs = [], 0.0, 0
    for (network, stage), found in zip(
        which, measure(run, splits, which, arguments.steps), strict=True
    ):
        seconds = float(np.median(found.seconds)) / run.hardware.steps_per_execution
        rate = run.batch_size / seconds
        told.append({"network": network, "name": stage.name, "images_per_second": rate})
        spent, epochs = spent + stage.epochs / rate, epochs + stage.epochs
    found = {
        "images_per_second": epochs / spent,
        "peak_memory_bytes": memory.peaks()["training"],
        "examples": len(splits.train.labels),
        "stages": told,
    }
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
