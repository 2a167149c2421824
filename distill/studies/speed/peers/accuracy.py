"""The process that trains for a given time, for `gpu`; its arguments: RUN [rehearse].

It builds the teacher and compiles its step, prints `{}`, and reads a line: the end of
the time, by `time.time`. Then the teacher is trained on labels, and three students for
equally many steps each: by the run's stages, on labels, and by the last stage alone. It
prints a line of JSON for each network as soon as it is trained. The learning rate
rises, then falls along a cosine.

With `rehearse` each student makes one step, which puts the compiled steps into JAX's
cache; another process compiles the teacher's step at the same time.
"""

import contextlib
import json
import math
import pathlib
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras

import trainers
from distill import config, data
from distill.data import batches
from distill.measure import accuracy
from distill.runtime import seeds
from distill.studies.speed import pace
from distill.teach.hardware import feeding, training
from distill.teach.learner import jit_compile
from distill.teach.networks import build
from trainers import trainer

RATE = 0.1  # Largest learning rate for batches of `BATCH`; in proportion for others.
BATCH = 128
WARM = 0.05  # Share of the steps during which the rate rises.
# Shares of the time at which the teacher and the first student stop. The rest is for
# the other students, which make as many steps, most of them shorter.
ENDS = {"teacher": 0.42, "student": 0.62}
CHUNK = 1.0  # Approximate seconds of training between two looks at the clock.
PACED = 30  # First steps, in which the wait for input is measured.


class Lesson(NamedTuple):
    """A part of a network's training: one method.

    Attributes:
        method: An entry of `trainers.TRAINERS`.
        task_weight: Weight of the loss on labels.
        share: Share of the network's steps.
    """

    method: Any
    task_weight: float
    share: float


class Span(NamedTuple):
    """A part of a network's training, limited by time or by steps.

    Attributes:
        first: Share of the training before it.
        last: Share of the training at its end.
        stop: Its end, by `time.monotonic`; None if it is limited by `steps`.
        steps: Number of steps, if `stop` is None.
    """

    first: float = 0.0
    last: float = 1.0
    stop: float | None = None
    steps: int = 0


class Work(NamedTuple):
    """The run and its data, which all networks share."""

    run: config.Run
    source: batches.Batches
    splits: data.Splits


def main(run: str, rehearse: str = "") -> None:
    """Trains all networks, and prints the results."""
    loaded = config.load(pathlib.Path(run))
    splits = loaded.data.load()
    source = batches.Batches(
        splits.train,
        batch_size=loaded.batch_size,
        seed=seeds.seed_of(loaded.seed, "order", 0),
        augmentation=loaded.augmentation.without_variants,
    )
    work = Work(loaded, source, splits)
    teacher = _build(work, "teacher")
    labels = Lesson(trainers.Supervised(), 1.0, 1.0)
    start, seconds = time.monotonic(), 0.0
    if rehearse:
        accuracy.logits(teacher, splits.test)
    else:
        with _learner(work, teacher, labels, None) as learner:
            _steps(learner, source, 0, 1)
            print("{}", flush=True)
            seconds = float(sys.stdin.readline()) - time.time()
            start = time.monotonic()
            record = _fit(learner, source, Span(stop=start + ENDS["teacher"] * seconds))
        _print_result(work, "teacher", teacher, [record], start)
    total = 1 if rehearse else None
    for name, lessons in _students(loaded, labels).items():
        student = _build(work, "student")
        stop = start + ENDS["student"] * seconds
        records = _train_student(work, student, lessons, teacher, (stop, total))
        total = total or sum(record["steps"] for record in records)
        _print_result(work, name, student, records, start)


def _students(run, labels):
    """Name of each student to its lessons; the first sets the number of steps."""
    whole = sum(stage.epochs for stage in run.stages)
    lessons = [
        Lesson(stage.trainer, stage.task_weight, stage.epochs / whole)
        for stage in run.stages
    ]
    return {
        "student by " + ", then ".join(stage.name for stage in run.stages): lessons,
        "student by labels": [labels],
        f"student by {run.stages[-1].name} alone": [lessons[-1]._replace(share=1.0)],
    }


def _build(work, role):
    keras.utils.set_random_seed(seeds.seed_of(work.run.seed, role, 0))
    return build.build(role, work.run)


@contextlib.contextmanager
def _learner(work, network, lesson, teacher) -> Iterator[trainer.Trainer]:
    """The trainer of a network, compiled, in the run's precision."""
    run, last = work.run, work.run.stages[-1]
    learner = trainer.Trainer(student=network, method=lesson.method, teacher=teacher)
    learner.compile(
        optimizer=keras.optimizers.SGD(0.0, momentum=last.momentum, nesterov=True),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        loss_weights=lesson.task_weight,
        jit_compile=jit_compile(run.hardware.jit),
    )
    with training.scope(learner, run.hardware.precision):
        yield learner


def _train_student(work, student, lessons, teacher, end):
    """Trains a student by one lesson after the other; returns the record of each.

    `end` has the time at which the last one ends, and the number of all steps; if that
    is None, the time counts.
    """
    stop, total = end
    start, done, records = time.monotonic(), 0.0, []
    for lesson in lessons:
        before, done = done, done + lesson.share
        steps = 0 if total is None else max(1, round(total * lesson.share))
        until = start + done * (stop - start) if total is None else None
        with _learner(work, student, lesson, teacher) as learner:
            records.append(_fit(learner, work.source, Span(before, done, until, steps)))
    return records


def _fit(learner, source, span) -> dict:
    """Trains to the end of a span; the time starts when everything is compiled.

    Returns:
        `steps`, their number; and, of the first ones if there were enough,
        `images_per_second` and `waiting`, the share of time spent waiting for input.
    """
    learner.optimizer.learning_rate = _rate(span.first, source.batch_size)
    _steps(learner, source, 0, 1)
    steps, count, pace_of_first = 1, 1, {}
    if span.stop is not None or span.steps > PACED + pace.WARMUP:
        clock = pace.Clock()
        steps += _steps(learner, source, steps, PACED + pace.WARMUP, [clock])
        times = clock.seconds[pace.WARMUP :], clock.waited[pace.WARMUP :]
        rate = source.batch_size * PACED / sum(times[0])
        pace_of_first = {
            "images_per_second": rate,
            "waiting": pace.Pace(*times).share,
        }
    start = time.monotonic()
    while True:
        now = time.monotonic()
        if span.stop is None:
            done, count = steps / span.steps, min(count, span.steps - steps)
        else:
            done = (now - start) / max(span.stop - start, CHUNK)
        if done >= 1:
            return {"steps": steps, **pace_of_first}
        whole = span.first + (span.last - span.first) * done
        learner.optimizer.learning_rate = _rate(whole, source.batch_size)
        steps += _steps(learner, source, steps, count)
        if time.monotonic() - now < CHUNK:
            # A call of `fit` costs time of its own: chunks grow to about `CHUNK`.
            count *= 2


def _rate(done, batch_size):
    """The learning rate after a share of a network's training."""
    rise, cosine = min(1.0, done / WARM), (1 + math.cos(math.pi * done)) / 2
    return RATE * batch_size / BATCH * rise * cosine


def _steps(learner, source, first, count, callbacks=()):
    """Trains `count` steps, from batch number `first` on; returns `count`."""
    learner.fit(
        feeding.read_ahead(source).stream(first),
        steps_per_epoch=count,
        callbacks=[*callbacks],
        shuffle=False,
        verbose=0,
    )
    return count


def _print_result(work, name, network, records, start):
    """Prints a line of JSON for a trained network."""
    answers = accuracy.logits(network, work.splits.test)
    steps = sum(record["steps"] for record in records)
    result = {
        "network": name,
        "accuracy": accuracy.accuracy(answers, work.splits.test),
        "epochs": steps / work.source.steps_per_epoch,
        "steps": steps,
        "examples": len(work.splits.train.labels),
        "seconds": time.monotonic() - start,
        "stages": records,
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
