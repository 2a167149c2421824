"""What `fit` is given, so that every device sees what is its own."""

from typing import Any

import keras
import numpy as np

from distill import data
from distill.data import batches
from distill.runtime.process import distributed
from distill.runtime.resume import resume
from distill.teach.hardware import data_parallel
from trainers import tracking


def read_ahead(source: batches.Batches) -> resume.Source | batches.Batches:
    """Batches for `fit`, that are made before it asks, and of which none is lost.

    On TensorFlow Keras reads ahead itself; on several replicas there it reads some of
    a generator, to build the model, and does not give them back: a set it reads again
    from the start. Elsewhere a thread reads ahead, unless examples are made, perhaps
    by a network: of several processes, all must ask their devices in one order.

    Args:
        source: Of the batches; on one replica anything like a `resume.Source`.
    """
    if keras.backend.backend() != "tensorflow":
        if getattr(source, "mixture", None) is not None:
            return source
        return resume.Source(
            source.steps_per_epoch, lambda step: batches.ahead(source.stream(step))
        )
    if tracking.replicas() == 1:
        return source
    import tensorflow as tf

    signature = tuple(tf.TensorSpec(a.shape, a.dtype) for a in source.batch(0))

    def stream(step):
        return tf.data.Dataset.from_generator(
            lambda: source.stream(step), output_signature=signature
        ).prefetch(2)

    return resume.Source(source.steps_per_epoch, stream)


def validation(
    split: data.Split, batch_size: int
) -> tuple[dict[str, Any], list[keras.callbacks.Callback]]:
    """What `fit` is given, so that it validates as one device would.

    Args:
        split: The examples.
        batch_size: Of all devices together.

    Returns:
        Its options, and what must be the first of its callbacks. With
        `MirroredStrategy` the last few examples that do not divide by the devices
        are left out: each device takes a mean of its own.
    """
    replicas = tracking.replicas()
    chosen = np.arange(len(split.labels))
    chosen = chosen[: len(chosen) // replicas * replicas]
    spread, size = data_parallel.current(), batch_size
    callbacks: list[keras.callbacks.Callback] = []
    if spread is not None:
        shares = len(chosen) % spread.num_model_replicas == 0
        callbacks = [data_parallel.Feed(spread, shares)]
        if shares:
            blocks = np.split(chosen, range(batch_size, len(chosen), batch_size))
            chosen = np.concatenate([b[distributed.rows(len(b))] for b in blocks])
            size = batch_size // distributed.count()
    mine = split.take(chosen)
    options = {
        "validation_data": (mine.floats(), mine.labels),
        "validation_batch_size": size,
    }
    return options, callbacks
