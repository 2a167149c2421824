"""Pruning by magnitude: which weights TF-MOT takes out, and when."""

from collections.abc import Callable
from typing import Any

import tf_keras
from tensorflow_model_optimization.sparsity import keras as sparsity

from distill.compress.finishers import pruned


def wrap(
    model: Any, options: Callable[[Any], dict[str, Any] | None] = lambda layer: {}
) -> Any:
    """A tf_keras model whose kernels get pruned; its layers are those of `model`.

    Layers without a kernel are left alone: TF-MOT has nothing to prune in them,
    and refuses some.

    Args:
        model: A functional tf_keras model.
        options: From a layer to what TF-MOT is told of it, where nothing means half
            of the kernel at once; None leaves it whole.
    """

    def wrap(layer):
        told = options(layer) if kernels(layer) else None
        if told is None:
            return layer
        return sparsity.prune_low_magnitude(layer, **told)

    return tf_keras.models.clone_model(model, clone_function=wrap)


def kernels(layer: Any) -> list[Any]:
    """The kernels of a tf_keras layer; not a depthwise one, too small to bear less."""
    weights = [(weight.name.rpartition("/")[-1], weight) for weight in layer.weights]
    return [
        weight
        for name, weight in weights
        if "kernel" in name and "depthwise" not in name
    ]


def prune(model: Any, part: pruned.Pruned, steps: int, fit: Callable[..., None]) -> Any:
    """Trains a tf_keras model while its smallest weights become zero.

    Args:
        model: A twin of the student.
        part: The finisher with the options.
        steps: Of the training.
        fit: Trains what TF-MOT wrapped, with these `callbacks`.

    Returns:
        What it has become, without wrappers.
    """
    every = max(1, int(steps * part.rise) // 50)
    last = max(1, int(steps * part.rise) // every) * every
    times = {"begin_step": 0, "end_step": last, "frequency": every}

    def options(layer):
        share = part.share(layer.name)
        if not share or (part.in_fours and not _is_in_fours(layer)):
            return None
        schedule = (
            sparsity.ConstantSparsity(share, **times)
            if part.schedule == "constant"
            else sparsity.PolynomialDecay(0.0, share, **times)
        )
        pattern = {"sparsity_m_by_n": (2, 4)} if part.in_fours else {}
        return {"pruning_schedule": schedule, **pattern}

    model = wrap(model, options)
    fit(model, callbacks=[sparsity.UpdatePruningStep()])
    return sparsity.strip_pruning(model)


def _is_in_fours(layer):
    """Whether the pattern fits the kernels, `(..., in, out)` each."""
    return all(kernel.shape[-2] % 4 == 0 for kernel in kernels(layer))
