"""The teachers beside the first, and the assistants: trained once and kept."""

from typing import NamedTuple

import keras
import numpy as np
from keras import ops

import gan
from distill import config, data
from distill.config import cache, lessons
from distill.data import synthetic
from distill.teach import cache as kept
from distill.teach import generator, teacher
from distill.teach import synthetic as teach_synthetic
from distill.teach.cache import fingerprint as cache_fingerprint
from distill.teach.networks import files
from distill.teach.workspace import Workspace

# Code that decides what an assistant becomes.
_DECIDING = (*teacher.DECIDING, gan, synthetic, teach_synthetic, kept, cache)


class Tutors(NamedTuple):
    """Who teaches.

    Attributes:
        first: The teacher, together with its co-teachers; see `average`.
        last: Whom the student learns from: the last assistant, or `first`.
    """

    first: keras.Model
    last: keras.Model


def obtain(
    work: Workspace,
    network: keras.Model,
    maker: keras.Model | None,
) -> tuple[Tutors, list[dict]]:
    """Everyone who teaches, trained; each also a file in the run's folder.

    They are kept beside the run, in `teachers/<fingerprint>/` and
    `assistants/<fingerprint>/`, where later runs find them.

    Args:
        work: The run, its data and its folder.
        network: The teacher.
        maker: The generator, for stages that want its examples.

    Returns:
        Who teaches, and one record for each stage, as in `report.json`.

    Raises:
        ConfigError, FolderBusy: As `teacher.obtain`.
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
            name, part.stages, home, work.of(part), teacher=last, generator=maker
        )
        records += more
    return Tutors(first, last), records


def fingerprint(run: config.Run, splits: data.Splits, name: str) -> str:
    """Changes with all that decides an assistant, those before it too.

    Args:
        run: In which it is the student; see `lessons.assistants`.
        splits: The data.
        name: Of the assistant.
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
    """Several teachers as one network.

    No mean of their logits would do: what must be averaged depends on how a method
    softens them, which is why it is given all.

    Args:
        first: Whose logits and representations are those of the whole.
        others: Its co-teachers, with the same inputs and classes.
        weights: Of each of them; what imitating the first costs counts once.

    Returns:
        A network under the contract of `students`, all layers of `first` its own,
        that also answers `co_logits`, `(batch, others, classes)`, and
        `co_weights`, `(batch, others)`.
    """
    answers = [
        keras.Model(other.input, other.output["logits"], name=f"teacher{number}")
        for number, other in enumerate(others, start=2)
    ]
    logits = ops.stack([answer(first.input) for answer in answers], axis=1)
    counts = ops.ones_like(logits[..., 0]) * np.array(weights, "float32")
    outputs = {**first.output, "co_logits": logits, "co_weights": counts}
    return keras.Model(first.input, outputs, name="teachers")
