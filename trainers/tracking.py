"""Base of the models that train: sums of terms, and named running means."""

from collections.abc import Iterable, Mapping

import keras
from keras import ops


def total(terms: Iterable):
    """The sum of scalars, each time rounded in the same way; 0 without any.

    Args:
        terms: Scalar tensors of one type.
    """
    # Not term after term: TensorFlow makes such a chain one operation, which begins
    # with a number that nothing else still has to read. These are shown as well, so
    # which of them that is would depend on the threads.
    terms = list(terms)
    return ops.sum(ops.stack(terms)) if terms else ops.zeros(())


def replicas() -> int:
    """Number of replicas of the current TensorFlow strategy; 1 without one."""
    # Keras adds up the replicas' gradients. So that the sum is the gradient of the
    # mean, each replica divides its loss by this number.
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


class Tracked(keras.Model):
    """A model that logs the mean of any number over an epoch, by name."""

    def __init__(self):
        super().__init__()
        self.trackers = {}

    def track(self, name: str, values, count=None) -> None:
        """Logs the mean of some numbers over an epoch as a metric.

        Args:
            name: Name of the metric. New names are possible only before training.
            values: Numbers, of any shape.
            count: Number of examples whose mean `values` is, if it is one number: the
                last batch of a validation may be smaller than the others.
        """
        if name not in self.trackers:
            self.trackers[name] = keras.metrics.Mean(name=name)
        self.trackers[name].update_state(values, sample_weight=count)

    def track_terms(self, terms: Mapping, count=None):
        """Logs terms of a loss, each by its name, and returns the sum of their means.

        Args:
            terms: Name to the term, of any shape; its mean is logged, in float32.
            count: As for `track`.
        """
        means = {n: ops.mean(ops.cast(term, "float32")) for n, term in terms.items()}
        for name, mean in means.items():
            self.track(name, mean, count)
        return total(means.values())
