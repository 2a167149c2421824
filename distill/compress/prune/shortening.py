"""Cuts a pruned network further until its kernels, packed, keep their budget."""

import dataclasses
from collections.abc import Callable

import tf_keras

from distill.compress import material as materials
from distill.compress.finishers import pruned
from distill.compress.prune import own, responses
from distill.measure import facts
from distill.runtime import progress

_MORE = 0.998  # So that a few steps suffice.


def shorten(
    model: tf_keras.Model,
    file: bytes,
    part: pruned.Pruned,
    convert: Callable[[tf_keras.Model], bytes],
    material: materials.Material,
) -> bytes:
    """The file of a pruned model within its budget of packed bits.

    In training, the length of the kernels is estimated, and weights still change after
    the last choice of zeros. What the file has too much becomes zero without training.

    Args:
        model: The pruned model, which is changed if its file is too long.
        file: Its file.
        part: The finisher, with `budget.counts` of `packed`.
        convert: Makes the file of a model.
        material: The source of the images that scores use.
    """
    wanted, draw = part.budget.keep, lambda: responses.draw_images(material)
    # Of the kernels alone: packing the whole file takes longer than all the rest.
    while (left := facts.packed_share(facts.read_kernels(file))) > part.budget.keep:
        progress.say(f"    {left:.4f} of the kernels, packed: more become zero")
        wanted *= _MORE * part.budget.keep / left
        budget = dataclasses.replace(part.budget, keep=wanted)
        own.cut(model, dataclasses.replace(part, budget=budget), draw)
        file = convert(model)
    return file
