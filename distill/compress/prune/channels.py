"""Structured pruning: finds channels that can be removed, and removes them."""

import collections
import dataclasses

import numpy as np
import tensorflow as tf
import tf_keras

from distill.compress.finishers import narrowed
from distill.compress.twin import calls, folding
from distill.measure.counting import layer_macs
from distill.runtime.errors import FinishError

LAYERS = tf_keras.layers
BOUND = (
    "no filter can go: no channels of this student go from kernel to kernel without a "
    "sum, a group or an output in between"
)
# Layers that process each channel on its own.
CHANNELWISE = (
    LAYERS.BatchNormalization,
    LAYERS.ReLU,
    LAYERS.Activation,
    LAYERS.Dropout,
    LAYERS.MaxPooling2D,
    LAYERS.AveragePooling2D,
    LAYERS.GlobalAveragePooling2D,
    LAYERS.GlobalMaxPooling2D,
    LAYERS.ZeroPadding2D,
    LAYERS.Flatten,
)


@dataclasses.dataclass(frozen=True)
class Inner:
    """Channels between kernels, any number of which can be removed.

    Attributes:
        maker: The layer whose kernel produces them.
        between: Layers on the way that process each channel on its own.
        takers: The layers whose kernels read them; nothing else does.
        count: Number of channels.
    """

    maker: str
    between: tuple[str, ...]
    takers: tuple[str, ...]
    count: int


def narrow(twin: tf_keras.Model, share: float) -> tf_keras.Model:
    """A twin without its smallest filters.

    Args:
        twin: The student's twin.
        share: Maximum share of its multiply-accumulates that stays.

    Raises:
        FinishError: If no filter can be removed, or not enough filters.
    """
    costs, found = macs(twin), inner(twin)
    if not found:
        raise FinishError(f"narrowed: {BOUND}")
    kept = counts(costs, found, share)
    if kept is None:
        raise FinishError(f"narrowed: {narrowed.explain_minimum(share, least(twin))}")
    return without(twin, found, kept)


def inner(model: tf_keras.Model) -> list[Inner]:
    """Every set of channels that only kernels read.

    Channels that enter a sum, a concatenation or an output must match others and
    stay. So do those of a grouped convolution, or of a layer that is called twice.

    Args:
        model: A functional tf_keras model without nested models, channels last.
    """
    found = []
    for layer in model.layers:
        if not _is_kernel(layer) or _is_softmax(layer) or layer.kernel.shape[-1] < 2:
            continue
        between, takers = [], []
        if _follow(layer, model.output_names, between, takers):
            count = layer.kernel.shape[-1]
            found.append(Inner(layer.name, tuple(between), tuple(takers), count))
    return found


def macs(model: tf_keras.Model) -> dict[str, int]:
    """Name of each layer that multiplies to its multiply-accumulates for one image."""
    found: collections.Counter[str] = collections.Counter()
    for node in calls.nodes(model):
        given = [tuple(one.shape) for one in node.keras_inputs]
        made = tuple(tf.nest.flatten(node.outputs)[0].shape)
        found[node.layer.name] += layer_macs.count(node.layer, given, made) or 0
    return {name: number for name, number in found.items() if number}


def counts(
    costs: dict[str, int], found: list[Inner], share: float
) -> dict[str, int] | None:
    """The number of channels that each maker keeps: about the same share of each.

    Args:
        costs: The result of `macs`.
        found: The result of `inner`.
        share: Maximum share of all multiply-accumulates that stays.

    Returns:
        Name of each maker to the largest number of channels within the share; None if
        even the fewest channels cost more.
    """
    steps = max((part.count for part in found), default=0) * 4
    for step in range(steps, 0, -1):
        kept = {part.maker: _rounded(part.count, step / steps) for part in found}
        if cost(costs, found, kept) <= share * sum(costs.values()):
            return kept
    return None


def least(model: tf_keras.Model) -> float:
    """The smallest possible share of multiply-accumulates; 1 if no filter can go."""
    costs, found = macs(model), inner(model)
    if not found:
        return 1.0
    fewest = {part.maker: _step(part.count) for part in found}
    return cost(costs, found, fewest) / sum(costs.values())


def cost(costs: dict[str, int], found: list[Inner], kept: dict[str, int]) -> float:
    """Multiply-accumulates that are left if the makers keep these channels."""
    left = {name: float(value) for name, value in costs.items()}
    # A layer that is both maker and taker shrinks twice, in outputs and in inputs.
    for part in found:
        for name in {part.maker, *part.between, *part.takers} & set(left):
            left[name] *= kept[part.maker] / part.count
    return sum(left.values())


def without(
    model: tf_keras.Model, found: list[Inner], kept: dict[str, int]
) -> tf_keras.Model:
    """Copies a model without its smallest channels.

    The size of a channel is the L1 norm of its filter after its norm is folded in, as
    in the file.

    Args:
        model: A functional tf_keras model without nested models.
        found: The result of `inner`.
        kept: Name of each maker to the number of channels that stay.

    Source:
        Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017, section 3.
    """
    weights = {layer.name: layer.get_weights() for layer in model.layers}
    filters = folding.fold(model)
    for part in found:
        kernel = np.abs(filters.get_layer(part.maker).kernel.numpy())
        size = kernel.reshape(-1, part.count).sum(axis=0)
        # A stable sort, so that equal filters give the same file everywhere.
        stay = np.sort(np.argsort(-size, kind="stable")[: kept[part.maker]])

        def cut(array, axis, stay=stay, count=part.count):
            return _take(array, axis, stay, count)

        weights[part.maker] = [cut(array, -1) for array in weights[part.maker]]
        for name in part.between:
            # Depthwise kernels are the only ones here: `(height, width, in, 1)`.
            weights[name] = [
                cut(array, -2 if array.ndim == 4 else -1) for array in weights[name]
            ]
        for name in part.takers:
            kernel, *bias = weights[name]
            weights[name] = [cut(kernel, -2), *bias]

    def clone(layer):
        options = layer.get_config()
        if layer.name in kept:
            key = "units" if isinstance(layer, LAYERS.Dense) else "filters"
            options[key] = kept[layer.name]
        return type(layer).from_config(options)

    smaller = tf_keras.models.clone_model(model, clone_function=clone)
    for layer in smaller.layers:
        layer.set_weights(weights[layer.name])
    return smaller


def _follow(layer, outputs, between, takers):
    """Whether only kernels read a layer's outputs; collects the layers on the way."""
    if len(layer.inbound_nodes) != 1 or layer.name in outputs:
        return False
    for node in layer.outbound_nodes:
        user = node.outbound_layer
        if _is_kernel(user) and len(user.inbound_nodes) == 1:
            takers.append(user.name)
        elif _is_channelwise(user):
            between.append(user.name)
            if not _follow(user, outputs, between, takers):
                return False
        else:
            return False
    return True


def _is_kernel(layer):
    return type(layer) is LAYERS.Dense or (
        type(layer) is LAYERS.Conv2D and layer.groups == 1
    )


def _is_channelwise(layer):
    if isinstance(layer, LAYERS.DepthwiseConv2D):
        return layer.depth_multiplier == 1
    if isinstance(layer, LAYERS.BatchNormalization):
        return folding.is_channel_norm(layer)
    return isinstance(layer, CHANNELWISE) and not _is_softmax(layer)


def _is_softmax(layer):
    """Whether each output channel of a layer depends on all others."""
    activation = getattr(layer, "activation", None)
    return "softmax" in getattr(activation, "__name__", "")


def _take(array, axis, stay, count):
    """The channels `stay` of an axis, which may hold all pixels if it is flattened."""
    axis %= array.ndim
    before, after = array.shape[:axis], array.shape[axis + 1 :]
    parted = array.reshape(*before, -1, count, *after)
    return parted.take(stay, axis + 1).reshape(*before, -1, *after)


def _rounded(count, part):
    """The number of channels for a share; a multiple of four if there are many."""
    step = _step(count)
    return min(count, max(step, step * round(part * count / step)))


def _step(count):
    # TFLite's kernels compute four channels at once, so others would save no time.
    return 4 if count >= 16 else 1
