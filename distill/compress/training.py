"""Training a network of tf_keras on the teacher's answers."""

from typing import Any

import tensorflow as tf
import tf_keras

from trainers.losses import response

WINDOWS = 10  # Times that statistics of norms start anew, as it were, in a training.


def prepare(model: tf_keras.Model, part: Any, steps: int, *, taught: bool) -> None:
    """Compiles a twin for its training, and lets its norms follow it.

    Args:
        model: Inputs to logits.
        part: The `TrainedFinisher` with the options.
        steps: Of the whole training.
        taught: Whether what is asked has a teacher's logits behind the labels.
    """
    # At Keras' 0.99, half of what 70 steps end with is what was before them.
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
        loss=lambda asked, made: sum(term(asked, made) for term in terms),
        metrics=[*terms, accuracy],
    )


def _terms(part, taught):
    """The terms of the loss, each also shown as a metric by its name."""
    # The whole weight is on the labels where nobody else teaches: the learning
    # rate was chosen for it.
    weight = part.task_weight + (0.0 if taught else part.kd_weight)

    def task_loss(asked, made):
        return weight * tf.nn.sparse_softmax_cross_entropy_with_logits(
            tf.cast(asked[:, 0], tf.int32), made
        )

    def kd_loss(asked, made):
        answered = asked[:, 1:]
        return part.kd_weight * response.kd_loss(answered, made, part.temperature)

    return (task_loss, kd_loss) if taught else (task_loss,)


def accuracy(asked, made):
    """Whether the largest logit is the label's; the metric bears this name."""
    right = tf.equal(tf.argmax(made, -1), tf.cast(asked[:, 0], tf.int64))
    return tf.cast(right, tf.float32)
