"""A `fit` that may be killed at any step and continues with identical results.

Keras' `BackupAndRestore` continues from the start of an epoch, without random
state, the state of other callbacks and the position in the data. Here a stage is
trained in legs: each starts from a committed moment, finishes an epoch or the whole
stage, and commits moments on the way.
"""

import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from distill.runtime import errors, progress, stopwatch
from distill.runtime.process import signals
from distill.runtime.resume import building, checkpoint, timing

SECONDS = 30.0  # Time between two commits, unless a commit is slow.
SHARE = 0.01  # Largest share of the time that commits may take.


class Resumable(Protocol):
    """What `fit` needs of its batches; see `Source`."""

    steps_per_epoch: int
    stream: Callable[[int], Iterable]


@dataclasses.dataclass(frozen=True)
class Source:
    """Batches that can be read from any step on; any `Resumable` may replace it.

    Attributes:
        steps_per_epoch: Steps in each epoch.
        stream: Returns the batches from a step on, without end. Batch number n
            must not depend on the batches that were read before it.
    """

    steps_per_epoch: int
    stream: Callable[[int], Iterable]


def fit(
    model: Any,
    source: Resumable,
    *,
    callback: type,
    epochs: int,
    store: checkpoint.Store,
    variables: Callable[[], Sequence],
    callbacks: Callable[[dict], list] = lambda history: [],
    **options: Any,
) -> tuple[dict[str, list[float]], float]:
    """Fits a model from its last committed moment, or from the start.

    Args:
        model: Compiled; of Keras 3 or of tf_keras.
        source: The batches.
        callback: The `Callback` class of the model's Keras.
        epochs: Epochs of the whole stage.
        store: Where moments are committed. Not cleared at the end: `clear` it
            when the trained network is saved.
        variables: Returns all variables that training changes, except those of the
            optimizer and the metrics.
        callbacks: Builds the callbacks of a leg from the history before it.
        **options: Passed to Keras' `fit`.

    Returns:
        Name of each logged number to its value in each epoch, and the seconds that
        training took over all legs.

    Raises:
        CheckpointError: If the last moment does not fit the model.
        Diverged: If a logged number or a variable is not finite.
        Stopped: If a signal came; the step is finished and committed first.
    """

    def state():
        return _state(model, variables())

    steps = source.steps_per_epoch
    total = steps * epochs
    saver = type("Saver", (_Saver, callback), {})(store, state, steps, total)
    building.build(model, next(iter(source.stream(0))))
    moment = store.newest()
    timer = timing.timer(callback)
    while saver.step < total:
        if moment is not None:
            saver.resume_from(moment)
        epoch, done = divmod(saver.step, steps)
        saver.leg_is_one_epoch = done > 0
        model.fit(
            source.stream(saver.step),
            steps_per_epoch=steps - done,
            initial_epoch=epoch,
            epochs=epochs,
            callbacks=[
                timer,
                *callbacks(saver.history),
                *progress.lines(callback),
                saver,
            ],
            **{"verbose": progress.verbose(), **options},
        )
        # Also after a leg of this process: with `use_ema`, Keras' `fit` ends by writing
        # the optimizer's averages into the weights.
        moment = store.newest()
    stopwatch.turn_to(stopwatch.OTHER)
    return saver.history, saver.seconds


def seconds_between_moments() -> float:
    """Seconds between two commits; `DISTILL_CHECKPOINT_SECONDS` changes it.

    Raises:
        CheckpointError: If the variable is not a number of seconds.
    """
    text = os.environ.get("DISTILL_CHECKPOINT_SECONDS", str(SECONDS))
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise errors.CheckpointError(
            f"DISTILL_CHECKPOINT_SECONDS must be seconds, 0 for every step. "
            f"Received: {text!r}"
        )
    return seconds


def _state(model, variables):
    """All variables that training changes, each once."""
    metrics = [variable for metric in model.metrics for variable in metric.variables]
    found = [*variables, *model.optimizer.variables, *metrics]
    return list({id(variable): variable for variable in found}.values())


class _Saver:
    """Callback that counts steps, checks numbers and commits; the last one of a leg."""

    def __init__(self, store, state, steps_per_epoch, total):
        super().__init__()
        self.step = self._begun = 0  # `_begun`: the first step of this leg and epoch.
        self.history: dict[str, list[float]] = {}
        self.leg_is_one_epoch = False
        self._store = store
        self._state = state
        self._steps_per_epoch = steps_per_epoch
        self._total = total
        self._restored = None
        self._seconds_before = 0.0
        self._start = self._saved = time.monotonic()
        self._interval = seconds_between_moments()
        self._cost = 0.0

    @property
    def seconds(self):
        """Seconds of training, including those of earlier processes."""
        return self._seconds_before + time.monotonic() - self._start

    def resume_from(self, moment):
        """Continues from a committed moment."""
        checkpoint.restore(moment, self._state())
        self.step = moment.step
        if self.step % self._steps_per_epoch:
            self._restored = moment
        past = moment.notes["history"]
        self.history = {name: list(values) for name, values in past.items()}
        self._seconds_before = moment.notes["seconds"]
        self._start = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        if self._restored is not None:
            # Again: `fit` resets metrics, but this epoch continues a half-finished one.
            checkpoint.restore(self._restored, self._state())
            self._restored = None
        self._begun = self.step

    def on_train_batch_end(self, batch, logs=None):
        self.step = self._begun + batch + 1  # Of several steps, `batch` is the last.
        progress.first_step()
        for name, value in logs.items():
            _check_finite(f"`{name}`", value, self.step)
        # The end of an epoch is committed after its validation, in `on_epoch_end`.
        if self.step % self._steps_per_epoch and self._is_due():
            self._commit()

    def on_epoch_end(self, epoch, logs=None):
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))
        if self.step == self._total:
            self._arrays()  # Checked only: the caller saves the finished network.
            return
        if self.leg_is_one_epoch or self._is_due():
            self._commit()
        self.model.stop_training = self.leg_is_one_epoch

    def _is_due(self):
        wait = max(self._interval, self._cost / SHARE) if self._interval else 0
        return signals.pending() or time.monotonic() - self._saved >= wait

    def _arrays(self):
        """Name to value of all state; refuses values that are not finite."""
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        variables = self._state()
        arrays = {}
        for name, variable in zip(checkpoint.names(variables), variables, strict=True):
            arrays[name] = np.array(variable.numpy())  # PyTorch returns a view.
            _check_finite(f"a weight of `{name}`", arrays[name].sum(), self.step)
        return arrays

    def _commit(self):
        start = time.monotonic()
        arrays = self._arrays()
        notes = {"history": self.history, "seconds": self.seconds}
        self._store.save(checkpoint.Moment(self.step, arrays, notes))
        self._saved = time.monotonic()
        self._cost = self._saved - start
        signals.raise_if_pending()


def _check_finite(what, value, step):
    if not math.isfinite(value):
        raise errors.Diverged(
            f"{what} is {float(value)} at step {step}: lower `learning_rate`, or the "
            "weight of that term. What was saved before stays"
        )
