"""Repeats one batch with its cached teacher answers, for benchmarks."""

import itertools
from collections.abc import Iterator

import numpy as np

from distill import config
from distill.teach.cache import layout as cache_layout
from trainers import trainer
from trainers.methods import representations


def replay_batches(
    run: config.Run, learner: trainer.Trainer, batch: tuple[np.ndarray, np.ndarray]
) -> Iterator:
    """Yields the batch endlessly, as a run has it after it has read cached answers.

    Args:
        run: A run with `teacher.cache`.
        learner: A trainer with a teacher, which computes the answers once.
        batch: Inputs `(batch, ...)`, and labels `(batch,)`.
    """
    shapes = (
        representations.features(learner.teacher),
        representations.shapes(learner.student),
    )
    layout = cache_layout.layout(
        run.teacher.cache, run.data.num_classes, learner.method, *shapes, 0
    )
    # Packed and unpacked, so that they lose as many digits and classes as in the cache.
    rows = layout.pack(learner.teacher.predict_on_batch(batch[0]))
    return (
        (trainer.with_answers(batch[0], layout.unpack(rows)), batch[1])
        for _ in itertools.count()
    )
