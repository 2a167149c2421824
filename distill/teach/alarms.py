"""Reports what a method finds wrong in its training history, as soon as it happens."""

import keras

from distill.runtime import errors, progress


class Watch(keras.callbacks.Callback):
    """Prints a method's first alarm, or ends the run where the method demands it.

    Args:
        method: An instance of an entry of `trainers.TRAINERS`.
        past: Name of each metric to its values in the epochs before, of a run that
            is resumed.
    """

    def __init__(self, method, past):
        super().__init__()
        self._method = method
        self._history = {name: list(values) for name, values in past.items()}
        # An alarm from before an interruption was printed then.
        self._has_warned = first(method, self._history) is not None

    def on_epoch_end(self, epoch, logs=None):
        """Checks the metrics of all epochs so far.

        Raises:
            Diverged: If the method raises an alarm and sets `stop_on_collapse`.
        """
        for name, value in logs.items():
            self._history.setdefault(name, []).append(float(value))
        alarm = self._method.alarm(self._history)
        if alarm and self._method.stop_on_collapse:
            raise errors.Diverged(f"{alarm}. What was saved before stays")
        if alarm and not self._has_warned:
            progress.say(f"    warning: {alarm}")
            self._has_warned = True


def first(method, history: dict[str, list[float]]) -> str | None:
    """The first alarm that a method raises in a history; None if it raises none."""
    epochs = max(map(len, history.values()), default=0)
    alarms = (
        method.alarm({name: values[:end] for name, values in history.items()})
        for end in range(1, epochs + 1)
    )
    return next(filter(None, alarms), None)
