"""Trains a tf_keras network on labels and the teacher's logits, for every finisher."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import tensorflow as tf
import tf_keras

from distill.compress import finishers
from distill.compress import material as materials
from distill.compress.quantize import ranges
from distill.data import batches
from distill.runtime import seeds, strided
from distill.runtime.resume import checkpoint, resume
from trainers.losses import response

WINDOWS = 10  # Averaging windows of norm statistics within one training.


def add(distortion: Any, penalty: Any) -> Any:
    """The loss as a sum, the default of `Changes.combine`."""
    return distortion + penalty


@dataclasses.dataclass(frozen=True, kw_only=True)
class Changes:
    """What an engine changes in the training of its network.

    Attributes:
        callbacks: Callbacks of tf_keras.
        state: Variables that change beside the model's; checkpoints contain both.
        penalty: Returns one more term of the loss, a scalar tensor. It is also a
            metric, named after this function. None for no such term.
        combine: A function from the distortion, which is the loss without the penalty
            averaged over the batch, and the penalty to the loss, all scalars.
        optimizer: `sgd`, with Nesterov's momentum; or `adam`.
        clip_norm: Largest norm of the gradient of all variables together; a longer one
            is shortened. None for no limit.
    """

    callbacks: Sequence[tf_keras.callbacks.Callback] = ()
    state: Sequence[tf.Variable] = ()
    penalty: Callable[[], tf.Tensor] | None = None
    combine: Callable[[Any, Any], Any] = add
    optimizer: Literal["sgd", "adam"] = "sgd"
    clip_norm: float | None = None


def fit(
    model: tf_keras.Model,
    part: Any,
    material: materials.Material,
    store: checkpoint.Store,
    changes: Changes,
) -> tuple[dict[str, list[float]], float]:
    """Trains on labels and the teacher's logits.

    Args:
        model: A twin from inputs to logits, possibly wrapped.
        part: The `TrainedFinisher` with the options.
        material: The data.
        store: The store of checkpoints of this training.
        changes: What the engine changes.

    Returns:
        As `resume.fit`.
    """
    name = finishers.name_of(part)
    # A seed of its own: a file must not depend on which others a run makes.
    tf_keras.utils.set_random_seed(seeds.seed_of(material.seed, "finish", name))
    ranges.settle(model, material.augmented_sample(name))
    share = part.labelled_share
    steps_per_epoch = material.batches(name, share).steps_per_epoch
    prepare(
        model,
        part,
        part.epochs * steps_per_epoch,
        taught=material.teacher is not None,
        changes=changes,
    )
    # oneDNN's gradient of strided kernels of one pixel corrupts memory.
    with strided.unstrided(model.submodules):
        return resume.fit(
            model,
            resume.Source(
                steps_per_epoch, lambda step: material.stream(name, step, share)
            ),
            callback=tf_keras.callbacks.Callback,
            epochs=part.epochs,
            store=store,
            variables=lambda: [*model.variables, *changes.state],
            callbacks=lambda past: list(changes.callbacks),
            validation_data=batches.in_order(
                *material.add_targets(
                    material.splits.validation.floats(),
                    material.splits.validation.labels,
                ),
                batches.validation_size(material.batch_size),
            ),
        )


def prepare(
    model: tf_keras.Model,
    part: Any,
    steps: int,
    *,
    taught: bool,
    changes: Changes = Changes(),
) -> None:
    """Compiles a twin, and adapts the momentum of its norms to a short training.

    Args:
        model: A model from inputs to logits.
        part: The `TrainedFinisher` with the options.
        steps: Steps of the whole training.
        taught: Whether targets contain the teacher's logits behind the labels.
        changes: What the engine changes.
    """
    # At Keras' momentum of 0.99, the statistics after 70 steps would still be half
    # those from before the training.
    for layer in model.submodules:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.momentum = min(layer.momentum, max(1 - WINDOWS / steps, 0.5))
    rate = tf_keras.optimizers.schedules.CosineDecay(part.learning_rate, steps)
    terms = _terms(part, taught)
    loss, metrics = _with_penalty(terms, changes)
    model.compile(
        optimizer=_OPTIMIZERS[changes.optimizer](
            rate, global_clipnorm=changes.clip_norm
        ),
        loss=loss,
        metrics=[*metrics, _quality(part.labelled_share)],
    )


_OPTIMIZERS = {
    "adam": tf_keras.optimizers.Adam,
    "sgd": functools.partial(tf_keras.optimizers.SGD, momentum=0.9, nesterov=True),
}


def _with_penalty(terms, changes):
    """The loss of all terms, and the terms that are metrics."""

    def distortion(targets, logits):
        return sum(term(targets, logits) for term in terms)

    if changes.penalty is None:
        return distortion, terms

    def loss(targets, logits):
        mean = tf.reduce_mean(distortion(targets, logits))
        return changes.combine(mean, changes.penalty())

    def penalty(targets, logits):
        return changes.penalty()

    penalty.__name__ = changes.penalty.__name__
    return loss, (*terms, penalty)


def _terms(part, taught):
    """The terms of the loss; each is also a metric, named after its function."""
    # Without a teacher, labels get the weight of both terms, since the default
    # learning rate was chosen for a loss of that size.
    weight = part.task_weight + (0.0 if taught else part.kd_weight)

    def task_loss(targets, logits):
        return weight * tf.nn.sparse_softmax_cross_entropy_with_logits(
            tf.cast(targets[:, 0], tf.int32), logits
        )

    def kd_loss(targets, logits):
        teacher_logits = targets[:, 1:]
        return part.kd_weight * response.kd_loss(
            teacher_logits, logits, part.temperature
        )

    if part.labelled_share < 1:
        return _of_labelled(task_loss), kd_loss
    return (task_loss, kd_loss) if taught else (task_loss,)


def _of_labelled(term):
    """A term that compares with labels, and is 0 for examples without one."""

    @functools.wraps(term)  # Its name is the metric's.
    def masked(targets, logits):
        known = targets[:, 0] >= 0
        # Any class in place of none: the result for it is not used.
        labelled = tf.concat([tf.nn.relu(targets[:, :1]), targets[:, 1:]], axis=1)
        return tf.where(known, term(labelled, logits), 0.0)

    return masked


def _known(metric):
    """A metric that compares with labels, of the examples that have one."""

    @functools.wraps(metric)
    def masked(targets, logits):
        known = tf.cast(targets[:, 0] >= 0, tf.float32)
        right = _of_labelled(metric)(targets, logits)
        return tf.math.divide_no_nan(right, tf.reduce_mean(known))

    return masked


def _quality(labelled_share):
    """The metric beside the terms: accuracy, or agreement where labels are absent."""
    if not labelled_share:
        return agreement_with_teacher
    return accuracy if labelled_share == 1 else _known(accuracy)


def agreement_with_teacher(targets, logits):
    """Whether the largest logit is the teacher's; the name is also the metric's."""
    same = tf.equal(tf.argmax(logits, -1), tf.argmax(targets[:, 1:], -1))
    return tf.cast(same, tf.float32)


def accuracy(targets, logits):
    """Whether the largest logit is the label's; the name is also the metric's."""
    right = tf.equal(tf.argmax(logits, -1), tf.cast(targets[:, 0], tf.int64))
    return tf.cast(right, tf.float32)
