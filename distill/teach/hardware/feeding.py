"""Prepares the batches of `fit`, so that every device receives its share."""

from typing import Any

import keras
import numpy as np

from distill import data
from distill.data import batches, beside
from distill.runtime.process import distributed
from distill.runtime.resume import resume
from distill.teach.hardware import data_parallel
from trainers import tracking


def read_ahead(
    source: batches.Batches | beside.Beside,
) -> resume.Source | batches.Batches | beside.Beside:
    """Prepares batches for `fit` so that the next are computed while one trains.

    Args:
        source: The batches; on one replica, anything like a `resume.Source`.
    """
    if keras.backend.backend() != "tensorflow":
        # A thread reads ahead, but not where a network may generate examples: all
        # processes must call their devices in the same order.
        if getattr(source, "mixture", None) is not None:
            return source
        return resume.Source(
            source.steps_per_epoch, lambda step: batches.prefetch(source.stream(step))
        )
    if tracking.replicas() == 1:
        return source  # On TensorFlow, Keras itself reads ahead.
    import tensorflow as tf

    signature = tuple(tf.TensorSpec(a.shape, a.dtype) for a in source.batch(0))

    # On several replicas Keras takes a few batches of a generator to build the model
    # and loses them. A data set it reads again from its start.
    def stream(step):
        return tf.data.Dataset.from_generator(
            lambda: source.stream(step), output_signature=signature
        ).prefetch(2)

    return resume.Source(source.steps_per_epoch, stream)


def validation(
    split: data.Split, batch_size: int
) -> tuple[dict[str, Any], list[keras.callbacks.Callback]]:
    """Prepares validation in `fit` so that the result is that of one device.

    Args:
        split: The examples.
        batch_size: Size of a batch over all devices.

    Returns:
        Arguments of `fit`, and callbacks that must come before all others. With
        `MirroredStrategy`, the remainder of the examples modulo the number of devices
        is left out.
    """
    # Each replica of `MirroredStrategy` takes its own mean, which is right only if all
    # have as many examples.
    replicas = tracking.replicas()
    chosen = np.arange(len(split.labels))
    chosen = chosen[: len(chosen) // replicas * replicas]
    if keras.backend.backend() == "tensorflow" and replicas == 1:
        examples = batches.in_order(split.floats(), split.labels, batch_size)
        return {"validation_data": examples}, []
    spread, size = data_parallel.current(), batch_size
    callbacks: list[keras.callbacks.Callback] = []
    if spread is not None:
        divides = len(chosen) % spread.num_model_replicas == 0
        callbacks = [data_parallel.Feed(spread, divides)]
        if divides:
            # This process's rows of every batch.
            blocks = np.split(chosen, range(batch_size, len(chosen), batch_size))
            chosen = np.concatenate([b[distributed.rows(len(b))] for b in blocks])
            size = batch_size // distributed.count()
    local = split.take(chosen)
    options = {
        "validation_data": (local.floats(), local.labels),
        "validation_batch_size": size,
    }
    return options, callbacks
