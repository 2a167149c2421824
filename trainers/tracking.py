"""What every model that trains shows: means by name."""

import keras


def replicas() -> int:
    """Replicas of a strategy of TensorFlow, each with examples of its own; else 1.

    Keras adds up their gradients: each must be of its replica's share of the loss.
    """
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


class Tracked(keras.Model):
    """A model that shows the mean of any number, over an epoch, by name."""

    def __init__(self):
        super().__init__()
        self.trackers = {}

    def track(self, name: str, values) -> None:
        """Shows the mean of some numbers, over an epoch, as a metric.

        Args:
            name: Of the metric. New names are made before training alone.
            values: Of any shape.
        """
        if name not in self.trackers:
            self.trackers[name] = keras.metrics.Mean(name=name)
        self.trackers[name].update_state(values)
