"""What a method finds wrong in the history of its training, said when it happens."""

import keras

from distill.runtime import errors, progress


class Watch(keras.callbacks.Callback):
    """Says at once what a method finds wrong, and ends the run if it must.

    Args:
        method: An entry of `trainers.TRAINERS`.
        past: Name of each metric to its values of the epochs before.
    """

    def __init__(self, method, past):
        super().__init__()
        self._method = method
        self._history = {name: list(values) for name, values in past.items()}
        self._said = first(method, self._history) is not None

    def on_epoch_end(self, epoch, logs=None):
        """Asks the method.

        Raises:
            Diverged: If it finds something wrong, and must end the run then.
        """
        for name, value in logs.items():
            self._history.setdefault(name, []).append(float(value))
        alarm = self._method.alarm(self._history)
        if alarm and self._method.stop_on_collapse:
            raise errors.Diverged(f"{alarm}. What was saved before stays")
        if alarm and not self._said:
            progress.say(f"    warning: {alarm}")
            self._said = True


def first(method, history: dict[str, list[float]]) -> str | None:
    """What the method found wrong after the first epoch in which it did, or None."""
    epochs = max(map(len, history.values()), default=0)
    alarms = (
        method.alarm({name: values[:end] for name, values in history.items()})
        for end in range(1, epochs + 1)
    )
    return next(filter(None, alarms), None)
