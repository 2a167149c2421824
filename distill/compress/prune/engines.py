"""Prunes a twin with the engine that its finisher chooses."""

from collections.abc import Callable

import tf_keras

from distill.compress import material as materials
from distill.compress.finishers import pruned
from distill.compress.prune import magnitude, own, responses


def prune(
    model: tf_keras.Model,
    part: pruned.Pruned,
    steps: int,
    fit: Callable[..., None],
    material: materials.Material,
) -> tf_keras.Model:
    """Prunes a twin while it trains; see `magnitude.prune` and `own.prune`.

    Args:
        model: A twin of the student.
        part: The finisher with the options.
        steps: Steps of the training.
        fit: See `own.prune`.
        material: The source of the images that scores use.
    """
    if part.pruner == "tfmot":
        return magnitude.prune(model, part, steps, fit)
    return own.prune(model, part, steps, fit, lambda: responses.draw_images(material))
