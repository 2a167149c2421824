"""What tests of resumption fit with: batches told by their step, and odd stores."""

import hashlib

import keras
import numpy as np

from distill.runtime.resume import checkpoint, resume


class Source:
    """Batches of the same examples, in an order that the step alone decides.

    Args:
        inputs: `(batch, ...)`.
        labels: `(batch,)`; they stay where they are.
        steps_per_epoch: Steps in each epoch.
    """

    def __init__(self, inputs, labels, steps_per_epoch=3):
        self.steps_per_epoch = steps_per_epoch
        self._inputs = inputs
        self._labels = labels

    def stream(self, step):
        while True:
            rng = np.random.default_rng(step)
            yield self._inputs[rng.permutation(len(self._labels))], self._labels
            step += 1


class Everything(checkpoint.Store):
    """Keeps every moment ever saved."""

    def save(self, moment):
        super().save(moment)
        self.moments = [*getattr(self, "moments", []), super().newest()]


class Only:
    """A store with one moment, which saves no other but at the end of a leg."""

    def __init__(self, moment):
        self.moment = moment

    def newest(self):
        return self.moment

    def save(self, moment):
        self.moment = moment


def fitted(learner, store, source):
    """Two epochs: a hash of all that the learner is then, and its history."""
    history, _ = resume.fit(
        learner,
        source,
        callback=keras.callbacks.Callback,
        epochs=2,
        store=store,
        variables=lambda: learner.moving_variables,
        shuffle=False,
        verbose=0,
    )
    sha = hashlib.sha256()
    for variable in [*learner.variables, *learner.optimizer.variables]:
        sha.update(variable.numpy().tobytes())
    return sha.hexdigest(), history
