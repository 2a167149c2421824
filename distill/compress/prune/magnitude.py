"""Pruning by magnitude: which weights TF-MOT takes out, and when."""

from collections.abc import Callable
from typing import Any


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
    import tf_keras
    from tensorflow_model_optimization.sparsity import keras as sparsity

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
