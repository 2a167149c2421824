"""Trains one stage and returns its record for the report."""

import contextlib
from collections.abc import Callable
from typing import Any

import keras

from distill import data
from distill.data import batches, beside
from distill.runtime.resume import checkpoint, resume
from distill.teach import alarms
from distill.teach.hardware import data_parallel, feeding, training
from trainers import trainer

RECALIBRATION_BATCHES = 50  # Enough for BatchNorm's mean and variance to converge.


def fit(
    learner: keras.Model,
    source: batches.Batches | beside.Beside,
    *,
    epochs: int,
    store: checkpoint.Store,
    callbacks: Callable[[dict], list],
    validation: data.Split | keras.utils.PyDataset | None = None,
    precision: str = "float32",
) -> dict:
    """Fits a compiled model of `trainers`, resuming from its last checkpoint.

    Args:
        learner: The model; it must have `moving_variables`.
        source: The training batches.
        epochs: Number of epochs, those before an interruption included.
        store: The store for checkpoints.
        callbacks: See `resume.fit`.
        validation: The examples evaluated after each epoch; a `PyDataset` of batches
            only on one device.
        precision: Name of the dtype policy in which the model computes.

    Returns:
        The record of a stage, as in `report.json`, without the names of the model and
        the method.
    """
    options: dict[str, Any] = {}
    feeds: list[keras.callbacks.Callback] = []
    if isinstance(validation, keras.utils.PyDataset):
        options = {"validation_data": validation}
    elif validation is not None:
        size = batches.validation_size(
            source.batch_size, related=learner.method.relates_examples
        )
        options, feeds = feeding.validation(validation, size)
    with (
        training.scope(learner, precision),
        data_parallel.sharding(enabled=True),
        _ended(callbacks) as callbacks,
    ):
        history, seconds = resume.fit(
            learner,
            feeding.read_ahead(source),
            callback=keras.callbacks.Callback,
            epochs=epochs,
            store=store,
            variables=lambda: learner.moving_variables,
            callbacks=lambda past: [*feeds, *callbacks(past)],
            shuffle=False,  # `source` shuffles, as a function of the seed and step.
            **options,
        )
    examples = epochs * source.steps_per_epoch * source.batch_size
    return {
        "epochs": epochs,
        "seconds": seconds,
        "examples_per_second": examples / seconds,
        "metrics": history,
    }


@contextlib.contextmanager
def _ended(build):
    """Lets callbacks close their files when training is stopped: Keras does not.

    A program that has called `distill.train` goes on after an exception.
    """
    built: list[keras.callbacks.Callback] = []

    def remember(past):
        built[:] = build(past)
        return built

    try:
        yield remember
    except BaseException:
        for callback in built:
            callback.on_train_end()
        raise


def fit_stage(learner, stage, source, inputs, callbacks, *, store, hardware):
    """Trains one stage of a network and returns its record, with warnings.

    `inputs` are the training and the validation examples, with cached answers or
    without. `callbacks` maps the history so far to the callbacks that display it.
    """
    examples, validation = inputs
    record = fit(
        learner,
        examples,
        epochs=stage.epochs,
        store=store,
        callbacks=lambda past: [*callbacks(past), alarms.Watch(stage.trainer, past)],
        validation=validation,
        precision=hardware.precision,
    )
    if stage.trainer.recalibrates:
        count = min(RECALIBRATION_BATCHES, source.steps_per_epoch)
        images = (source.batch(step)[0] for step in range(count))
        trainer.recalibrate(learner.student, images)
    trainer.thaw(learner.student)
    alarm = alarms.first(stage.trainer, record["metrics"])
    return {"name": stage.name, **record, "warnings": [alarm] if alarm else []}
