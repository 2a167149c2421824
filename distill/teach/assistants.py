"""The co-teachers and the assistants: each is trained once and reused by later runs."""

from typing import NamedTuple

import keras
import numpy as np
from keras import ops

import gan
from distill import config, data
from distill.config import cache, lessons
from distill.data import beside, synthetic
from distill.measure import folded
from distill.teach import cache as teach_cache
from distill.teach import generator, teacher
from distill.teach import synthetic as teach_synthetic
from distill.teach.cache import fingerprint as cache_fingerprint
from distill.teach.networks import files
from distill.teach.workspace import Workspace

# Modules whose code influences an assistant's weights.
_DECIDING = (
    *teacher.DECIDING,
    gan,
    beside,
    synthetic,
    teach_synthetic,
    teach_cache,
    cache,
    folded,
)


class Teachers(NamedTuple):
    """The networks that teach.

    Attributes:
        first: The teacher together with its co-teachers; see `average`.
        last: The network that teaches the student: the last assistant, or `first`.
    """

    first: keras.Model
    last: keras.Model


def obtain(
    work: Workspace,
    network: keras.Model,
    generator_network: keras.Model | None,
) -> tuple[Teachers, list[dict]]:
    """Trains the co-teachers and assistants, or loads those of an earlier run.

    They are stored beside the run's folder, in `teachers/<fingerprint>/` and
    `assistants/<fingerprint>/`, where later runs find them; each is also copied into
    the run's folder.

    Args:
        work: The run, its data and its folder.
        network: The teacher.
        generator_network: The generator, for stages with generated examples.

    Returns:
        The networks that teach, and one record for each stage, as in `report.json`.

    Raises:
        ConfigError: As `teacher.obtain`.
    """
    run, others, records = work.run, [], []
    for name, part in lessons.co_teachers(run).items():
        other, more = teacher.obtain(work.of(part), name)
        others.append(other)
        records += more
    weights = [part.weight for part in run.co_teachers]
    first = last = average(network, others, weights) if others else network
    for name, part in lessons.assistants(run).items():
        home = cache_fingerprint.folder(
            work.folder, "assistants", fingerprint(part, work.splits, name)
        )
        last, more = teacher.train(
            name,
            part.stages,
            home,
            work.of(part),
            teacher=last,
            generator=generator_network,
        )
        records += more
    return Teachers(first, last), records


def fingerprint(run: config.Run, splits: data.Splits, name: str) -> str:
    """A hash of everything that determines an assistant, with those that teach it.

    Args:
        run: The run in which it is the student; see `lessons.assistants`.
        splits: The data.
        name: The assistant's name.
    """
    options = ("teacher", "co_teachers", "assistants", "student", "stages")
    options += ("data", "augmentation", "batch_size", "seed")
    also = [name, run.hardware.decides, *files.hashes(run).values()]
    if run.uses_generator:
        also.append(generator.fingerprint(run, splits))
    return cache_fingerprint.fingerprint(run, splits, options, _DECIDING, also)


def average(
    first: keras.Model, others: list[keras.Model], weights: list[float]
) -> keras.Model:
    """Joins several teachers into one network.

    Their logits are not averaged here: a method averages softened probabilities or
    losses, which a mean of logits does not determine, so it receives all logits.

    Args:
        first: The teacher that supplies `logits` and the representations.
        others: Its co-teachers, with the same inputs and classes.
        weights: The weight of the loss for each co-teacher; that for `first` is 1.

    Returns:
        A network under the contract of `students` that shares all layers with
        `first`. It also returns `co_logits`, `(batch, others, classes)`, and
        `co_weights`, `(batch, others)`.
    """
    networks = [
        keras.Model(other.input, other.output["logits"], name=f"teacher{number}")
        for number, other in enumerate(others, start=2)
    ]
    logits = ops.stack([network(first.input) for network in networks], axis=1)
    # One row of weights for each example, since outputs are cached example by example.
    co_weights = ops.ones_like(logits[..., 0]) * np.array(weights, "float32")
    outputs = {**first.output, "co_logits": logits, "co_weights": co_weights}
    return keras.Model(first.input, outputs, name="teachers")
