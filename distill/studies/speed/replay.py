"""One batch with its teacher's answers, again and again: for benchmarks."""

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
    """The batch without end, as a run has it once its kept answers were read.

    Args:
        run: Has a `teacher.cache`.
        learner: Has a teacher, who is asked once.
        batch: Inputs `(batch, ...)`, and labels `(batch,)`.
    """
    shapes = map(representations.shapes, (learner.teacher, learner.student))
    layout = cache_layout.layout(
        run.teacher.cache, run.data.num_classes, learner.method, *shapes, 0
    )
    rows = layout.pack(learner.teacher.predict_on_batch(batch[0]))
    return (
        (trainer.with_answers(batch[0], layout.unpack(rows)), batch[1])
        for _ in itertools.count()
    )
