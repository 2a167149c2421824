"""Decides when weights are projected, and which must stay zero from then on."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from distill.compress.finishers import pruned
from distill.compress.prune import projection

_LAYERS = tf_keras.layers
_TRANSPOSED = (
    _LAYERS.Conv1DTranspose,
    _LAYERS.Conv2DTranspose,
    _LAYERS.Conv3DTranspose,
)
# Number of choices during the rise unless `every` is given; the latter if each requires
# a pass over images.
TIMES, FEW = 50, 12


class Kernel:
    """A kernel that is pruned, and which of its weights must stay zero.

    Args:
        layer: The layer that owns it.
        variable: The kernel.

    Attributes:
        mask: 0 where a weight must stay zero, else 1; in the kernel's shape.
        axis: The axis of output channels.
    """

    def __init__(self, layer: Any, variable: tf.Variable):
        self.layer, self.variable = layer, variable
        self.axis = -2 if isinstance(layer, _TRANSPOSED) else -1
        name = f"{variable.name.partition(':')[0]}_mask"
        self.mask = tf.Variable(tf.ones_like(variable), trainable=False, name=name)

    def with_scores(self, scores: np.ndarray) -> projection.Kernel:
        """The kernel as a projection needs it, with these scores of its weights."""
        alive = self.mask.numpy() > 0
        return projection.Kernel(
            np.where(alive, scores, projection.GONE), axis=self.axis
        )


class Project(tf_keras.callbacks.Callback):
    """Sets weights to zero between two steps.

    All its state is in the masks and the optimizer's step, so that a training that was
    killed resumes exactly.

    Args:
        kernels: The kernels that are pruned.
        part: The finisher with the options.
        steps: Steps of the training.
        choose: A function from the step and `remaining_cut` to an array for each
            kernel, True where a weight stays.
    """

    def __init__(
        self,
        kernels: Sequence[Kernel],
        part: pruned.Pruned,
        steps: int,
        choose: Callable[[int, float], list[np.ndarray]],
    ):
        super().__init__()
        self._kernels, self._part, self._choose = kernels, part, choose
        self._last = max(1, int(steps * part.rise))
        times = FEW if part.uses_images else TIMES
        self._every = part.every or max(1, self._last // times)
        self._hold = tf.function(self._apply_masks)

    def on_train_begin(self, logs=None):
        """Projects at once if the schedule is `constant`."""
        if self._step == 0 and self._part.schedule == "constant":
            self._project(0)

    def on_train_batch_end(self, batch, logs=None):
        """Projects if a choice is due; otherwise only keeps zeros at zero."""
        step = self._step
        if step <= self._last and (step % self._every == 0 or step == self._last):
            self._project(step)
        else:
            self._hold()

    @property
    def _step(self):
        return int(self.model.optimizer.iterations.numpy())

    def _project(self, step):
        stays = self._choose(step, remaining_cut(self._part, step / self._last))
        for kernel, chosen in zip(self._kernels, stays, strict=True):
            mask = tf.cast(chosen, kernel.variable.dtype)
            kernel.variable.assign(kernel.variable * mask)
            if step == self._last or not self._part.returns:
                kernel.mask.assign(mask)

    def _apply_masks(self):
        for kernel in self._kernels:
            kernel.variable.assign(kernel.variable * kernel.mask)


def remaining_cut(part: pruned.Pruned, time: float) -> float:
    """The part of the final share of zeros that is not yet reached.

    Args:
        part: The finisher with the schedule.
        time: Part of the rise that is over, in [0, 1].

    Returns:
        From 1, at which nothing is cut, to 0, at which everything is.
    """
    return 0.0 if part.schedule == "constant" else (1 - time) ** 3
