"""Models and labels that are not under the contract: single outputs, one-hot labels."""

import keras
from keras import ops

AGREEMENT = "agreement_with_teacher"  # Name of a metric.


def to_logits(network: keras.Model | None) -> keras.Model | None:
    """A model to a dict with `"logits"`; itself if it is one already.

    Args:
        network: A functional or sequential model. The layers are shared, so it is
            trained too. None stays None.

    Raises:
        ValueError: If it has another form, or ends in a softmax.
    """
    if network is None or isinstance(getattr(network, "output", None), dict):
        return network
    if len(getattr(network, "outputs", None) or ()) != 1 or len(network.inputs) != 1:
        raise ValueError(
            "a network must be a functional model, or a built sequential one, from one "
            f"input to logits. Received: {type(network).__name__} {network.name}"
        )
    last = network.outputs[0]._keras_history.operation
    if getattr(last, "activation", None) is keras.activations.softmax:
        raise ValueError(
            f"a network must return logits. Received: {network.name}, which ends in a "
            f"softmax: leave out the activation of {last.name}, and compile a loss "
            "with `from_logits=True`"
        )
    return keras.Model(
        network.inputs[0], {"logits": network.outputs[0]}, name=network.name
    )


def are_one_hot(labels) -> bool:
    """Whether labels are one-hot, `(batch, classes)`, and not classes."""
    return len(labels.shape) == 2 and labels.shape[-1] > 1


def classes(labels):
    """The classes of labels, `(batch,)`; negative where an example has none.

    Args:
        labels: Classes, `(batch,)` or `(batch, 1)`, or one-hot, `(batch, classes)`.
    """
    if len(labels.shape) == 1:
        return labels
    if not are_one_hot(labels):
        return ops.squeeze(labels, -1)
    found = ops.argmax(labels, axis=-1)
    return ops.where(ops.any(labels > 0, axis=-1), found, -ops.ones_like(found))


def watch_agreement(trainer, outputs, taught) -> None:
    """Logs the share of examples whose largest logit is the teacher's.

    Args:
        trainer: A `Tracked`; without a tracker of this name, nothing is logged.
        outputs: The student's outputs.
        taught: The teacher's outputs.
    """
    if AGREEMENT in trainer.trackers:
        pair = (ops.argmax(each["logits"], axis=-1) for each in (outputs, taught))
        trainer.track(AGREEMENT, ops.cast(ops.equal(*pair), "float32"))


def fill_in(labels, taught):
    """Classes without those of unlabelled examples, -1.

    Args:
        labels: Classes, `(batch,)`.
        taught: The teacher's outputs.

    Returns:
        The classes that the teacher predicts in their place. Without its logits, the
        first: a method without logits does without labels, too, but the loss on labels
        takes no negative class, not even with a weight of 0.
    """
    missing = ops.argmax(taught["logits"], axis=-1) if "logits" in taught else 0
    return ops.where(labels < 0, missing, labels)
