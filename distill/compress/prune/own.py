"""Our own engine of pruning, which projects weights onto a budget between steps."""

from collections.abc import Callable

import tensorflow as tf
import tf_keras

from distill.compress.base import scored
from distill.compress.finishers import pruned
from distill.compress.prune import (
    input_mask,
    ledger,
    magnitude,
    projection,
    responses,
    schedule,
    scores,
)
from distill.measure.counting import uses
from distill.runtime import errors, progress


def prune(
    model: tf_keras.Model,
    part: pruned.Pruned,
    steps: int,
    fit: Callable[..., None],
    draw_images: Callable[[], responses.Images],
) -> tf_keras.Model:
    """Trains a tf_keras model while the weights with the lowest scores become zero.

    Args:
        model: A twin of the student.
        part: The finisher with the options.
        steps: Steps of the training.
        fit: Trains the model with the given `callbacks` and `state`.
        draw_images: See `responses.draw_images`; called only if a score needs images.

    Returns:
        The trained model, behind its input mask if it has one.

    Raises:
        FinishError: If the score does not support a layer, or the budget is too small.

    Source:
        Lee et al., "DeepTwist: Learning Model Compression via Occasional Weight
        Distortion", 2018, for `every` and `returns`.
    """
    images = draw_images() if part.uses_images else None
    model = input_mask.add_mask(model) if part.input_keep < 1 else model
    kernels = prunable(model, part)
    choose = _make_choice(model, kernels, part, images)
    if part.input_keep == 1:
        _fit(model, kernels, part, steps, fit, choose)
        return model
    layer = model.get_layer(input_mask.NAME)
    pixels = schedule.Kernel(layer, layer.pixels)
    choose_pixels = input_mask.make_choice(model, pixels, part.input_keep, images)

    def choose_both(step, remaining):
        return [*choose(step, remaining), choose_pixels(step, remaining)]

    _fit(model, [*kernels, pixels], part, steps, fit, choose_both)
    masked = input_mask.fix_mask(model)
    progress.say(f"    {input_mask.describe(input_mask.find_pixels(masked))}")
    return masked


def cut(
    model: tf_keras.Model,
    part: pruned.Pruned,
    draw_images: Callable[[], responses.Images],
) -> None:
    """Sets more weights of a pruned model to zero, without training.

    Args:
        model: A model that `prune` has made.
        part: The finisher, with a smaller budget.
        draw_images: See `prune`.
    """
    kernels = prunable(model, part)
    for kernel in kernels:
        kernel.mask.assign(tf.cast(kernel.variable != 0, kernel.mask.dtype))
    images = draw_images() if part.uses_images else None
    for kernel, stays in zip(
        kernels, _make_choice(model, kernels, part, images)(0, 0.0), strict=True
    ):
        kernel.variable.assign(kernel.variable * stays)


def _fit(model, kernels, part, steps, fit, choose):
    project = schedule.Project(kernels, part, steps, choose)
    fit(model, callbacks=[project], state=[kernel.mask for kernel in kernels])


def _make_choice(model, kernels, part, images):
    """A function from step and `schedule.remaining_cut` to the weights that stay."""
    budget = ledger.Ledger(model, kernels, part) if part.joint else None
    find_responses = _make_responses(model, kernels, part, images)

    def choose(step, remaining):
        score = scores.SCORES[part.score]
        found = [
            kernel.with_scores(score(kernel.variable.numpy(), response, kernel.axis))
            for kernel, response in zip(kernels, find_responses(step), strict=True)
        ]
        if budget is not None:
            return budget.choose(found, remaining)
        kept = [
            1 - part.share(kernel.layer.name) * (1 - remaining) for kernel in kernels
        ]
        pairs = zip(found, kept, strict=True)
        return [projection.keep_share(*pair) for pair in pairs]

    return choose


def _make_responses(model, kernels, part, images):
    """A function from the step to each kernel's response; None if none is needed."""
    if part.score not in scored.KINDS:
        return lambda step: [None] * len(kernels)
    layers = [kernel.layer for kernel in kernels]
    for layer in layers:
        why = scored.explain_unsupported(layer, type(layer).__name__, part.score)
        if why:
            raise errors.FinishError(f"pruned: `{layer.name}`: {why}")
    needs_patches = part.score == "sensitivity"
    return responses.Pass(model, layers, images, patches=needs_patches)


def prunable(model: tf_keras.Model, part: pruned.Pruned) -> list[schedule.Kernel]:
    """The kernels that a finisher prunes, in the order of the model's layers."""
    return [
        schedule.Kernel(layer, variable)
        for layer in model.layers
        for variable in magnitude.kernels(layer)
        if part.share(layer.name)
        and (part.limit.price.is_alike or type(layer).__name__ in uses.CUT)
    ]
