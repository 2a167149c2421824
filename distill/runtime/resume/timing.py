"""The callback that tells the stopwatch which kind of work of a training begins."""

from typing import Any

from distill.runtime import stopwatch


def timer(callback: type) -> Any:
    """The callback, which must be the first one: the work of others is no step.

    Args:
        callback: The `Callback` class of the model's Keras.
    """
    return type("Timer", (_Timer, callback), {})()


class _Timer:
    """Turns the stopwatch to what begins; what traces a function is no step."""

    def __init__(self):
        super().__init__()
        self._traced: set[str] = set()

    def _begin(self, kind):
        stopwatch.turn_to(kind if kind in self._traced else "tracing")

    def on_epoch_begin(self, epoch, logs=None):
        self._begin("steps")

    def on_train_batch_end(self, batch, logs=None):
        if "steps" not in self._traced:  # The first call has traced the function.
            self._traced.add("steps")
            self._begin("steps")

    def on_test_begin(self, logs=None):
        self._begin("validation")

    def on_test_end(self, logs=None):
        self._traced.add("validation")
        stopwatch.turn_to(stopwatch.OTHER)
