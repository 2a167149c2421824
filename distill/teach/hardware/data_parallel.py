"""Data parallelism with Keras in which batches can also be replicated."""

import contextlib
from collections.abc import Iterator

import keras


class Spread(keras.distribution.DataParallel):
    """Data parallelism that shards batches over devices or replicates them.

    Attributes:
        replicated: Whether every device receives the whole batch. This is so outside
            training steps: then a batch may have any number of examples, and every
            process has all outputs.
    """

    replicated = True

    def get_data_layout(self, data_shape):
        """See `keras.distribution.DataParallel`."""
        layout = super().get_data_layout(data_shape)
        if not self.replicated:
            return layout
        return keras.distribution.TensorLayout(
            [None] * len(data_shape), self.device_mesh
        )


class Feed(keras.callbacks.Callback):
    """Switches a `Spread` to sharding in training; must be the first callback.

    Args:
        spread: The current data parallelism.
        shards_validation: Whether every validation batch divides by the devices.
    """

    def __init__(self, spread: Spread, shards_validation: bool):
        super().__init__()
        self._spread = spread
        self._shards_validation = shards_validation

    def on_epoch_begin(self, epoch, logs=None):
        """Shards the training batches."""
        self._spread.replicated = False

    def on_test_begin(self, logs=None):
        """Shards the validation batches, if they divide."""
        self._spread.replicated = not self._shards_validation

    def on_test_end(self, logs=None):
        """Replicates again: later callbacks may call a network on any batch."""
        self._spread.replicated = True


def current() -> Spread | None:
    """The data parallelism in use; None if there is none."""
    distribution = keras.distribution.distribution()
    return distribution if isinstance(distribution, Spread) else None


@contextlib.contextmanager
def sharding(enabled: bool) -> Iterator[None]:
    """A context in which batches are sharded over the devices, or replicated."""
    spread = current()
    if spread is None:
        yield
        return
    before, spread.replicated = spread.replicated, not enabled
    try:
        yield
    finally:
        spread.replicated = before
