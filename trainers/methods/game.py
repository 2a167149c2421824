"""One game of a discriminator against a student: its losses, and who is winning.

Shared by the methods that play it. What they call `real` is the teacher's, what
they call `fake` the student's.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

PATIENCE = 10  # Epochs that the collapse alarm looks back.
WON = 0.99  # A discriminator that is right this often leaves nothing to learn from.


def play(trainer, name: str, real: Mapping, fake: Mapping, told, training: bool):
    """The losses of both sides of one game.

    Args:
        trainer: Its `method` has the options of `trainers.Adversarial`.
        name: Of the discriminator among the trainer's companions; names of
            terms and metrics begin with it.
        real: Name of each output that it sees to the teacher's, `(batch, ...)`.
        fake: The same of the student.
        told: What both belong to, `(batch, ...)`, or None.
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
    condition = {}
    if told is not None:
        encoder = network.get_layer("condition_encoder")
        condition = {"condition": encoder(told, training=training)}
    made = {key: ops.stop_gradient(value) for key, value in fake.items()}
    lots = [
        _Lot({**real, **condition}, True, 1.0),
        _Lot({**made, **condition}, False, 1.0),
    ]
    if training:
        lots += _regularising_lots(trainer, real, made, condition, told)
    scores = _scores(judge, [lot.shown for lot in lots], training)
    loss = sum(
        lot.weight * losses.real_loss(score, method.loss, method.label_smoothing)
        if lot.is_real
        else lot.weight * losses.fake_loss(score, method.loss)
        for lot, score in zip(lots, scores, strict=True)
    )
    if training:
        loss += _penalties(trainer, judge, real, made, condition)
    _track_accuracy(trainer, name, scores[:2])
    student = name.removesuffix("discriminator")
    fooled = _frozen_scores(judge, {**fake, **condition}, training)
    return {
        f"{student}adversarial_loss": method.adversarial_weight
        * losses.fooling_loss(fooled, method.loss),
        f"{name}_loss": loss,
    }


class _Lot(NamedTuple):
    """Some outputs with their condition, what they count as, and how much."""

    shown: Mapping
    is_real: bool
    weight: Any  # A number, or one an example.


def _regularising_lots(trainer, real, made, condition, told):
    """What the discriminator is shown beside, in training alone."""
    from keras import ops, random

    method, lots = trainer.method, []
    if method.mismatch_weight:
        others = {key: ops.roll(value, 1, axis=0) for key, value in condition.items()}
        # Another example of the same label is no mismatch.
        differs = ops.any(ops.roll(told, 1, axis=0) != told, range(1, len(told.shape)))
        weight = method.mismatch_weight * ops.cast(differs, "float32")
        lots.append(_Lot({**real, **others}, False, weight))
    if method.noise_weight:
        noisy = {
            key: random.dropout(value, method.noise_rate, seed=trainer.draws)
            for key, value in made.items()
        }
        lots.append(_Lot({**noisy, **condition}, True, method.noise_weight))
    return lots


def _scores(judge, lots, training):
    """Scores of several lots: one pass over one batch of all of them."""
    from keras import ops

    together = {
        key: ops.concatenate([lot[key] for lot in lots], axis=0) for key in lots[0]
    }
    scores = ops.cast(judge(together, training=training)[:, 0], "float32")
    return ops.split(scores, len(lots), axis=0)


def _frozen_scores(judge, lot, training):
    """Scores through weights that are constants: only what is judged can move."""
    from keras import ops

    from gan import gradients

    constant = {
        key: ops.stop_gradient(value) if key == "condition" else value
        for key, value in lot.items()
    }
    # As in training: spectral normalization acts in training mode alone.
    scores = gradients.frozen(judge, constant, training)
    return ops.cast(scores[:, 0], "float32")


def _penalties(trainer, judge, real, made, condition):
    """What the discriminator pays for steep gradients, shape `(batch,)`."""
    from gan import gradients

    method = trainer.method
    loss = 0.0

    def score(values):
        named = dict(zip(real, values, strict=True))
        return judge({**named, **condition}, training=True)[:, 0]

    if method.r1:
        _, slopes = gradients.with_gradient(score, list(real.values()))
        loss += method.r1 / 2 * gradients.squared_norm(slopes)
    if method.gradient_penalty:
        pair = list(real.values()), [made[key] for key in real]
        loss += method.gradient_penalty * gradients.length_penalty(
            score, *pair, trainer.draws
        )
    return loss


def _track_accuracy(trainer, name, scores):
    """How often the discriminator is right about each side."""
    from keras import ops

    from gan import losses

    middle = losses.middle(*scores, trainer.method.loss)
    right = scores[0] > middle, scores[1] <= middle
    for side, answers in zip(("teacher", "student"), right, strict=True):
        trainer.track(f"{name}_accuracy_on_{side}", ops.cast(answers, "float32"))


def track_agreement(trainer, step) -> None:
    """Shows how often student and teacher give the same class, as `agreement`."""
    from keras import ops

    pair = step.taught["logits"], step.learned["logits"]
    taught, learned = (ops.argmax(logits, axis=-1) for logits in pair)
    trainer.track("agreement", ops.cast(taught == learned, "float32"))


def collapse(history: Mapping[str, Sequence[float]], name: str) -> str | None:
    """Says so when one side of a game has won, over the last `PATIENCE` epochs.

    Args:
        history: Name of each metric to one value an epoch.
        name: Of the discriminator.

    Returns:
        One sentence and what to do, or None while the game goes on.
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
    guessing = max(abs(value - 0.5) for value in right) <= 0.05
    if guessing and agreement[-1] < agreement[0] - 0.01:
        return (
            f"the {name} only guesses (accuracy {right[-1]:.3f}) while agreement with "
            f"the teacher has fallen from {agreement[0]:.3f} to {agreement[-1]:.3f}: "
            "raise `discriminator_learning_rate` or `discriminator_steps`, or lower "
            "`adversarial_weight`"
        )
    return None
