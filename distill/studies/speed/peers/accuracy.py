"""The process that trains by the clock, for `gpu`: with the arguments RUN [rehearse].

It builds the teacher and compiles its step, says `{}`, and waits for a line: when the
time is up, by `time.time`. Then the teacher learns from labels; students as many steps
each, by the run's stages, from labels, and by the last stage alone. It prints a line
of JSON of each, as soon as it has learned. The learning rate rises, then falls along a
cosine.

With `rehearse` each student makes one step, so that all is compiled and kept in JAX's
cache; the teacher's step is compiled elsewhere at the same time.
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
from distill.teach.hardware import feeding, fused, precision
from distill.teach.learner import jit_compile
from distill.teach.networks import build
from trainers import trainer

RATE = 0.1  # Of learning, at most, in batches of `BATCH`; in proportion of others.
BATCH = 128
WARM = 0.05  # Share of the steps in which the rate rises.
# Of the time, when the teacher stops, and the first student; what is left is for the
# others, who make as many steps as that one, most of them shorter.
ENDS = {"teacher": 0.42, "student": 0.62}
CHUNK = 1.0  # Seconds of training between two looks at the clock, about.
PACED = 30  # Steps, before all others, in which the wait for input is measured.


class Lesson(NamedTuple):
    """What a network learns by.

    Attributes:
        method: An entry of `trainers.TRAINERS`.
        task_weight: Of the loss on labels.
        share: Of the network's steps.
    """

    method: Any
    task_weight: float
    share: float


class Span(NamedTuple):
    """A piece of a network's training, and when it ends.

    Attributes:
        first: Share of the whole that went before.
        last: Share of the whole at its end.
        stop: By `time.monotonic`; None where it has so many `steps`.
        steps: See there.
    """

    first: float = 0.0
    last: float = 1.0
    stop: float | None = None
    steps: int = 0


class Work(NamedTuple):
    """What all networks have in common."""

    run: config.Run
    source: batches.Batches
    splits: data.Splits


def main(run: str, rehearse: str = "") -> None:
    """Trains all, and says what came of them."""
    asked = config.load(pathlib.Path(run))
    splits = asked.data.load()
    source = batches.Batches(
        splits.train,
        batch_size=asked.batch_size,
        seed=seeds.seed_of(asked.seed, "order", 0),
        augmentation=asked.augmentation.without_variants,
    )
    work = Work(asked, source, splits)
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
            made = _fit(learner, source, Span(stop=start + ENDS["teacher"] * seconds))
        _say(work, "teacher", teacher, [made], start)
    total = 1 if rehearse else None
    for name, lessons in _students(asked, labels).items():
        student = _build(work, "student")
        stop = start + ENDS["student"] * seconds
        found = _taught(work, student, lessons, teacher, (stop, total))
        total = total or sum(made["steps"] for made in found)
        _say(work, name, student, found, start)


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
    """What trains a network, compiled, in the run's precision."""
    run, last = work.run, work.run.stages[-1]
    learner = trainer.Trainer(student=network, method=lesson.method, teacher=teacher)
    learner.compile(
        optimizer=keras.optimizers.SGD(0.0, momentum=last.momentum, nesterov=True),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        loss_weights=lesson.task_weight,
        jit_compile=jit_compile(run.hardware.jit),
    )
    with precision.scope(learner, run.hardware.precision), fused.for_training(learner):
        yield learner


def _taught(work, student, lessons, teacher, end):
    """A student's lessons, one after the other: what `_fit` says of each.

    The last ends at a time, or with so many steps of the network; `end` has both.
    """
    stop, total = end
    begun, gone, found = time.monotonic(), 0.0, []
    for lesson in lessons:
        before, gone = gone, gone + lesson.share
        steps = 0 if total is None else max(1, round(total * lesson.share))
        until = begun + gone * (stop - begun) if total is None else None
        with _learner(work, student, lesson, teacher) as learner:
            found.append(_fit(learner, work.source, Span(before, gone, until, steps)))
    return found


def _fit(learner, source, span) -> dict:
    """Trains to the end of a span: in how many steps, and what the first of them took.

    The clock starts when all is compiled.
    """
    learner.optimizer.learning_rate = _rate(span.first, source.batch_size)
    _steps(learner, source, 0, 1)
    made, count, found = 1, 1, {}
    if span.stop is not None or span.steps > PACED + pace.WARMUP:
        clock = pace.Clock()
        made += _steps(learner, source, made, PACED + pace.WARMUP, [clock])
        times = clock.seconds[pace.WARMUP :], clock.waited[pace.WARMUP :]
        rate = source.batch_size * PACED / sum(times[0])
        found = {"images_per_second": rate, "waiting": pace.Pace(*times).share}
    start = time.monotonic()
    while True:
        begun = time.monotonic()
        if span.stop is None:
            done, count = made / span.steps, min(count, span.steps - made)
        else:
            done = (begun - start) / max(span.stop - start, CHUNK)
        if done >= 1:
            return {"steps": made, **found}
        whole = span.first + (span.last - span.first) * done
        learner.optimizer.learning_rate = _rate(whole, source.batch_size)
        made += _steps(learner, source, made, count)
        if time.monotonic() - begun < CHUNK:
            # A call of `fit` costs time of its own: chunks grow to about `CHUNK`.
            count *= 2


def _rate(done, batch_size):
    """The learning rate, where a share of a network's training is done."""
    rise, cosine = min(1.0, done / WARM), (1 + math.cos(math.pi * done)) / 2
    return RATE * batch_size / BATCH * rise * cosine


def _steps(learner, source, first, count, callbacks=()):
    """Some training steps, from batch number `first` on: how many."""
    learner.fit(
        feeding.read_ahead(source).stream(first),
        steps_per_epoch=count,
        callbacks=[*callbacks],
        shuffle=False,
        verbose=0,
    )
    return count


def _say(work, name, network, found, start):
    """A line of JSON of a network that has learned."""
    answers = accuracy.logits(network, work.splits.test)
    steps = sum(made["steps"] for made in found)
    said = {
        "network": name,
        "accuracy": accuracy.accuracy(answers, work.splits.test),
        "epochs": steps / work.source.steps_per_epoch,
        "steps": steps,
        "examples": len(work.splits.train.labels),
        "seconds": time.monotonic() - start,
        "stages": found,
    }
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
