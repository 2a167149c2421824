"""The process that trains for a given time; `gpu` starts it with RUN SECONDS.

It trains the teacher, then the student by the run's last stage; the learning rate falls
by a cosine of the time. It prints a line of JSON after each of them.
"""

import json
import math
import pathlib
import sys
import time

import keras

import trainers
from distill import config
from distill.data import batches
from distill.measure import accuracy
from distill.runtime import seeds
from distill.teach.hardware import fused, precision
from distill.teach.learner import jit_compile
from distill.teach.networks import build, files
from trainers import trainer

RATE = 0.1  # The initial learning rate.
# The share of the time at which each stops. Building, compiling and measuring need the
# rest.
ENDS = {"teacher": 0.4, "student": 0.85}
CHUNK = 1.0  # Approximate seconds of training between two checks of the time.


def main(run: str, seconds: str) -> None:
    """Trains both networks and prints their accuracy."""
    start = time.monotonic()
    asked = config.load(pathlib.Path(run))
    splits = asked.data.load()
    source = batches.Batches(
        splits.train,
        batch_size=asked.batch_size,
        seed=seeds.seed_of(asked.seed, "order", 0),
        augmentation=asked.augmentation,
    )
    last = asked.stages[-1]
    lessons = (trainers.Supervised(), 1.0), (last.trainer, last.task_weight)
    teacher = None
    for role, (method, weight) in zip(files.ROLES, lessons, strict=True):
        keras.utils.set_random_seed(seeds.seed_of(asked.seed, role, 0))
        network = build.build(role, asked)
        learner = trainer.Trainer(student=network, method=method, teacher=teacher)
        learner.compile(
            optimizer=keras.optimizers.SGD(RATE, momentum=last.momentum, nesterov=True),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            loss_weights=weight,
            jit_compile=jit_compile(asked.hardware.jit),
        )
        end = start + ENDS[role] * float(seconds)
        with (
            precision.scope(learner, asked.hardware.precision),
            fused.for_training(learner),
        ):
            steps = _fit(learner, source, end)
        answers = accuracy.logits(network, splits.test)
        found = {
            "network": role,
            "accuracy": accuracy.accuracy(answers, splits.test),
            "epochs": steps / source.steps_per_epoch,
            "examples": len(splits.train.labels),
            "seconds": time.monotonic() - start,
        }
        print(json.dumps(found), flush=True)
        teacher = network


def _fit(learner, source, end):
    """Trains until the time `end`; returns the number of steps."""
    start, step, count = time.monotonic(), 0, 1
    while step == 0 or time.monotonic() < end:
        begun = time.monotonic()
        done = (begun - start) / max(end - start, CHUNK)
        cosine = (1 + math.cos(math.pi * min(done, 1.0))) / 2
        learner.optimizer.learning_rate = RATE * cosine
        learner.fit(
            source.stream(step), steps_per_epoch=count, shuffle=False, verbose=0
        )
        step += count
        if time.monotonic() - begun < CHUNK:
            count *= 2
    return step


if __name__ == "__main__":
    main(*sys.argv[1:])
