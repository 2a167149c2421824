"""Data parallelism in which every device may also see the whole batch."""

import contextlib
from collections.abc import Iterator

import keras


class Spread(keras.distribution.DataParallel):
    """Data parallelism in which every device may also see the whole batch.

    Attributes:
        whole: Whether it does: in all but training steps, so that any number of
            examples will do, and every process knows every answer.
    """

    whole = True

    def get_data_layout(self, data_shape):
        """See `keras.distribution.DataParallel`."""
        layout = super().get_data_layout(data_shape)
        if not self.whole:
            return layout
        return keras.distribution.TensorLayout(
            [None] * len(data_shape), self.device_mesh
        )


class Feed(keras.callbacks.Callback):
    """Tells a `Spread` when batches are shared out; the first of all callbacks.

    Args:
        spread: The current one.
        shares_validation: Whether every validation batch divides.
    """

    def __init__(self, spread: Spread, shares_validation: bool):
        super().__init__()
        self._spread = spread
        self._shares_validation = shares_validation

    def on_epoch_begin(self, epoch, logs=None):
        """Training steps: to each device its share."""
        self._spread.whole = False

    def on_test_begin(self, logs=None):
        """Of validation too, if it can be."""
        self._spread.whole = not self._shares_validation

    def on_test_end(self, logs=None):
        """What other callbacks ask a network, all devices answer."""
        self._spread.whole = True


def current() -> Spread | None:
    """The data parallelism that networks are made for, if there is any."""
    found = keras.distribution.distribution()
    return found if isinstance(found, Spread) else None


@contextlib.contextmanager
def sharing(shared: bool) -> Iterator[None]:
    """Inside, every device sees its share of a batch, or all of it."""
    spread = current()
    if spread is None:
        yield
        return
    before, spread.whole = spread.whole, not shared
    try:
        yield
    finally:
        spread.whole = before
