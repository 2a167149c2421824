"""The game of a discriminator against a student: its losses and its collapse.

Shared by all adversarial methods. `real` outputs are the teacher's, `fake` ones the
student's.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

PATIENCE = 10  # Epochs that the collapse alarm looks back.
WON = 0.99  # Accuracy from which a discriminator has won: no signal is left.
GUESSING = 0.05  # Within this distance of 0.5, a discriminator only guesses.


def play(trainer, name: str, real: Mapping, fake: Mapping, condition, training: bool):
    """The losses of both sides of one game.

    Args:
        trainer: Its `method` has the options of `trainers.Adversarial`.
        name: Name of the discriminator among the trainer's companions; names of
            terms and metrics begin with it.
        real: Name of each output that it sees to the teacher's, `(batch, ...)`.
        fake: The same of the student.
        condition: The condition of both, `(batch, ...)`, or None.
        training: Whether this is a training step.

    Returns:
        `<name>_loss`, the discriminator's own, and `adversarial_loss`, the
        student's (`<section>_adversarial_loss` where `name` is
        `<section>_discriminator`), each of shape `(batch,)`. The first moves the
        discriminator alone, the second the student alone.
    """
    from keras import ops

    from gan import losses

    method, network = trainer.method, trainer.companions[name]
    judge = network.get_layer("judge")
    encoded = {}
    if condition is not None:
        # The encoder is the costly part for images. It runs once, for all groups.
        encoder = network.get_layer("condition_encoder")
        encoded = {"condition": encoder(condition, training=training)}
    # Without their gradient, the discriminator's loss cannot move the student.
    constants = {key: ops.stop_gradient(value) for key, value in fake.items()}
    groups = [
        _Group({**real, **encoded}, True, 1.0),
        _Group({**constants, **encoded}, False, 1.0),
    ]
    if training:
        groups += _regularising_groups(trainer, real, constants, encoded, condition)
    scores = _scores(judge, [group.outputs for group in groups], training)
    loss = sum(
        group.weight * losses.real_loss(score, method.loss, method.label_smoothing)
        if group.is_real
        else group.weight * losses.fake_loss(score, method.loss)
        for group, score in zip(groups, scores, strict=True)
    )
    if training:
        loss += _penalties(trainer, judge, real, constants, encoded)
    # The first two groups are the unchanged outputs of teacher and student.
    _track_accuracy(trainer, name, scores[:2])
    student = name.removesuffix("discriminator")
    # Here `fake`, not `constants`: this score is to move the student.
    fooled = _frozen_scores(judge, {**fake, **encoded}, training)
    return {
        f"{student}adversarial_loss": method.adversarial_weight
        * losses.fooling_loss(fooled, method.loss),
        f"{name}_loss": loss,
    }


class _Group(NamedTuple):
    """Outputs with their condition, what they count as, and their weight."""

    outputs: Mapping
    is_real: bool
    weight: Any  # One number for all, or one for each example.


def _regularising_groups(trainer, real, constants, encoded, condition):
    """More groups for the discriminator, in training alone."""
    from keras import ops, random

    method, groups = trainer.method, []
    if method.mismatch_weight:
        # Shifting the batch by one gives each example the condition of another.
        others = {key: ops.roll(value, 1, axis=0) for key, value in encoded.items()}
        # Another example of the same label is no mismatch.
        changed = ops.roll(condition, 1, axis=0) != condition
        differs = ops.any(changed, tuple(range(1, len(condition.shape))))
        weight = method.mismatch_weight * ops.cast(differs, "float32")
        groups.append(_Group({**real, **others}, False, weight))
    if method.noise_weight:
        noisy = {
            key: random.dropout(value, method.noise_rate, seed=trainer.draws)
            for key, value in constants.items()
        }
        groups.append(_Group({**noisy, **encoded}, True, method.noise_weight))
    return groups


def _scores(judge, groups, training):
    """Scores of several groups of outputs, in one pass over one large batch."""
    from keras import ops

    together = {
        key: ops.concatenate([outputs[key] for outputs in groups], axis=0)
        for key in groups[0]
    }
    scores = ops.cast(judge(together, training=training)[:, 0], "float32")
    return ops.split(scores, len(groups), axis=0)


def _frozen_scores(judge, outputs, training):
    """Scores with the discriminator's weights as constants: they move outputs only."""
    from keras import ops

    from gan import gradients

    constant = {
        key: ops.stop_gradient(value) if key == "condition" else value
        for key, value in outputs.items()
    }
    # The same mode as in the discriminator's own loss: spectral normalization divides
    # the kernels in training mode alone, so another mode is another discriminator.
    scores = gradients.frozen(judge, constant, training)
    return ops.cast(scores[:, 0], "float32")


def _penalties(trainer, judge, real, constants, encoded):
    """Penalties on the discriminator's gradients, shape `(batch,)`."""
    from gan import gradients

    method = trainer.method
    loss = 0.0

    def score(values):
        named = dict(zip(real, values, strict=True))
        return judge({**named, **encoded}, training=True)[:, 0]

    if method.r1:
        _, slopes = gradients.with_gradient(score, list(real.values()))
        loss += method.r1 / 2 * gradients.squared_norm(slopes)
    if method.gradient_penalty:
        # By the names of `real`: both lists must be in one order.
        pair = list(real.values()), [constants[key] for key in real]
        loss += method.gradient_penalty * gradients.length_penalty(
            score, *pair, trainer.draws
        )
    return loss


def _track_accuracy(trainer, name, scores):
    """Logs the discriminator's accuracy on the outputs of each side."""
    from keras import ops

    from gan import losses

    middle = losses.middle(*scores, trainer.method.loss)
    right = scores[0] > middle, scores[1] <= middle
    for side, correct in zip(("teacher", "student"), right, strict=True):
        trainer.track(f"{name}_accuracy_on_{side}", ops.cast(correct, "float32"))


def track_agreement(trainer, step) -> None:
    """Logs how often student and teacher predict the same class, as `agreement`."""
    from keras import ops

    pair = step.taught["logits"], step.learned["logits"]
    taught, learned = (ops.argmax(logits, axis=-1) for logits in pair)
    trainer.track("agreement", ops.cast(taught == learned, "float32"))


def collapse(history: Mapping[str, Sequence[float]], name: str) -> str | None:
    """Detects that one side of a game has won, over the last `PATIENCE` epochs.

    Args:
        history: Name of each metric to one value for each epoch.
        name: Name of the discriminator.

    Returns:
        A message that says what to change, or None while neither side has won.
    """
    sides = [history.get(f"{name}_accuracy_on_{s}", ()) for s in ("teacher", "student")]
    if min(map(len, sides)) < PATIENCE:
        return None
    right = [
        sum(pair) / 2 for pair in zip(*(s[-PATIENCE:] for s in sides), strict=True)
    ]
    if min(right) >= WON:
        return (
            f"the {name} has told teacher and student apart for {PATIENCE} epochs "
            f"(accuracy {right[-1]:.3f}): lower `discriminator_learning_rate`, or set "
            "`r1`, `label_smoothing` or `noise_weight`"
        )
    agreement = history["agreement"][-PATIENCE:]
    guessing = max(abs(value - 0.5) for value in right) <= GUESSING
    if guessing and agreement[-1] < agreement[0] - 0.01:
        return (
            f"the {name} only guesses (accuracy {right[-1]:.3f}) while agreement with "
            f"the teacher has fallen from {agreement[0]:.3f} to {agreement[-1]:.3f}: "
            "raise `discriminator_learning_rate` or `discriminator_steps`, or lower "
            "`adversarial_weight`"
        )
    return None
