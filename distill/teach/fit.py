"""Fits one stage, from its first step to its record."""

from collections.abc import Callable
from typing import Any

import keras

from distill import data
from distill.data import batches
from distill.runtime.resume import checkpoint, resume
from distill.teach import alarms
from distill.teach.hardware import data_parallel, feeding, fused, precision
from trainers import trainer

RECALIBRATION_BATCHES = 50  # Enough for BatchNorm's mean and variance to settle.


def fit(
    learner: keras.Model,
    source: batches.Batches,
    *,
    name: str,
    epochs: int,
    store: checkpoint.Store,
    callbacks: Callable[[dict], list],
    validation: data.Split | keras.utils.PyDataset | None = None,
) -> dict:
    """Fits a compiled model of `trainers`.

    Args:
        learner: Has `moving_variables`.
        source: Of the batches.
        name: Of the method.
        epochs: All that there are.
        store: Where moments are committed.
        callbacks: See `resume.fit`.
        validation: What is asked after each epoch; batches of it, on one device.

    Returns:
        The record of a stage, as in `report.json`, without its model.
    """
    fed: dict[str, Any] = {}
    feeds: list[keras.callbacks.Callback] = []
    if isinstance(validation, keras.utils.PyDataset):
        fed = {"validation_data": validation}
    elif validation is not None:
        fed, feeds = feeding.validation(validation, source.batch_size)
    with fused.for_training(learner), data_parallel.sharing(shared=True):
        history, seconds = resume.fit(
            learner,
            feeding.read_ahead(source),
            callback=keras.callbacks.Callback,
            epochs=epochs,
            store=store,
            variables=lambda: learner.moving_variables,
            callbacks=lambda past: [*feeds, *callbacks(past)],
            shuffle=False,  # The order is ours already.
            **fed,
        )
    examples = epochs * source.steps_per_epoch * source.batch_size
    return {
        "name": name,
        "epochs": epochs,
        "seconds": seconds,
        "examples_per_second": examples / seconds,
        "metrics": history,
    }


def _fit(learner, stage, source, given, showing, *, store, part):
    """One stage, from its first step to its record.

    `given` is what it is trained and validated on, with kept answers or without;
    `showing` makes the callbacks that show how it goes.
    """
    with precision.scope(learner, part.precision):
        made = fit(
            learner,
            given[0],
            name=stage.name,
            epochs=stage.epochs,
            store=store,
            callbacks=lambda past: [*showing(past), alarms.Watch(stage.trainer, past)],
            validation=given[1],
        )
    if stage.trainer.recalibrates:
        count = min(RECALIBRATION_BATCHES, source.steps_per_epoch)
        images = (source.batch(step)[0] for step in range(count))
        trainer.recalibrate(learner.student, images)
    trainer.thaw(learner.student)
    alarm = alarms.first(stage.trainer, made["metrics"])
    return {**made, "warnings": [alarm] if alarm else []}
