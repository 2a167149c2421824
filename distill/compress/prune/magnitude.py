"""Magnitude pruning by TF-MOT: which weights become zero, and when."""

from collections.abc import Callable
from typing import Any

import tf_keras
from tensorflow_model_optimization.sparsity import keras as sparsity

from distill.compress.finishers import pruned


def wrap(
    model: Any, options: Callable[[Any], dict[str, Any] | None] = lambda layer: {}
) -> Any:
    """A copy of a model whose kernels are pruned in training.

    Layers without a kernel are not wrapped: TF-MOT has nothing to prune in them, and
    refuses some.

    Args:
        model: A functional tf_keras model.
        options: A function from a layer to TF-MOT's options, by default half of the
            kernel at once; None for a layer that is not pruned.
    """

    def wrap(layer):
        chosen = options(layer) if kernels(layer) else None
        if chosen is None:
            return layer
        return sparsity.prune_low_magnitude(layer, **chosen)

    return tf_keras.models.clone_model(model, clone_function=wrap)


def kernels(layer: Any) -> list[Any]:
    """The kernels of a tf_keras layer; not depthwise ones, which are small already."""
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
        steps: Steps of the training.
        fit: Trains a model that TF-MOT has wrapped, with the given `callbacks`.

    Returns:
        The trained model without TF-MOT's wrappers.
    """
    # TF-MOT changes the zeros only at steps that are a multiple of the frequency. The
    # last step must be one, or the share would stop below the promise.
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
