"""Compiles a tf_keras network to train on labels and the teacher's logits."""

from typing import Any

import tensorflow as tf
import tf_keras

from trainers.losses import response

WINDOWS = 10  # Averaging windows of norm statistics within one training.


def prepare(model: tf_keras.Model, part: Any, steps: int, *, taught: bool) -> None:
    """Compiles a twin, and adapts the momentum of its norms to a short training.

    Args:
        model: A model from inputs to logits.
        part: The `TrainedFinisher` with the options.
        steps: Steps of the whole training.
        taught: Whether targets contain the teacher's logits behind the labels.
    """
    # At Keras' momentum of 0.99, the statistics after 70 steps would still be half
    # those from before the training.
    for layer in model.submodules:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.momentum = min(layer.momentum, max(1 - WINDOWS / steps, 0.5))
    terms = _terms(part, taught)
    model.compile(
        optimizer=tf_keras.optimizers.SGD(
            tf_keras.optimizers.schedules.CosineDecay(part.learning_rate, steps),
            momentum=0.9,
            nesterov=True,
        ),
        loss=lambda targets, logits: sum(term(targets, logits) for term in terms),
        metrics=[*terms, accuracy],
    )


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

    return (task_loss, kd_loss) if taught else (task_loss,)


def accuracy(targets, logits):
    """Whether the largest logit is the label's; the name is also the metric's."""
    right = tf.equal(tf.argmax(logits, -1), tf.cast(targets[:, 0], tf.int64))
    return tf.cast(right, tf.float32)
