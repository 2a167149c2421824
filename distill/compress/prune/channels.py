"""Channels that may go from a network, and the network without them."""

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
# Each channel passes through them on its own.
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
    """Channels between kernels: any number of them may go.

    Attributes:
        maker: Layer whose kernel makes them.
        between: Layers that each of them passes through on its own.
        takers: Layers whose kernels alone take them in.
        count: How many there are.
    """

    maker: str
    between: tuple[str, ...]
    takers: tuple[str, ...]
    count: int


def narrow(twin: tf_keras.Model, share: float) -> tf_keras.Model:
    """A twin without its smallest filters.

    Args:
        twin: Of the student.
        share: Of its MACs, at most, that stay.

    Raises:
        FinishError: If no filter can go, or not enough of them.
    """
    costs, found = macs(twin), inner(twin)
    if not found:
        raise FinishError(f"narrowed: {BOUND}")
    kept = counts(costs, found, share)
    if kept is None:
        raise FinishError(f"narrowed: {narrowed.too_little(share, least(twin))}")
    return without(twin, found, kept)


def inner(model: tf_keras.Model) -> list[Inner]:
    """Every set of channels that nothing but kernels takes in.

    A sum, a concatenation or an output binds channels to others; those of a
    convolution in groups, or of a layer that is used twice, stay too.

    Args:
        model: A functional tf_keras model without nested ones, channels last.
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
    """Layer that multiplies -> its multiply-accumulates for one image, in all calls."""
    found: collections.Counter[str] = collections.Counter()
    for node in calls.nodes(model):
        given = [tuple(one.shape) for one in node.keras_inputs]
        made = tuple(tf.nest.flatten(node.outputs)[0].shape)
        found[node.layer.name] += layer_macs.count(node.layer, given, made) or 0
    return {name: number for name, number in found.items() if number}


def counts(
    costs: dict[str, int], found: list[Inner], share: float
) -> dict[str, int] | None:
    """How many channels each maker keeps: the same part of each, as far as it goes.

    Args:
        costs: As `macs` gives them.
        found: As `inner` gives them.
        share: Multiply-accumulates that may be left, of all.

    Returns:
        Maker to channels, the most that cost no more than the share; None if
        one channel each still costs more.
    """
    steps = max((part.count for part in found), default=0) * 4
    for step in range(steps, 0, -1):
        kept = {part.maker: _rounded(part.count, step / steps) for part in found}
        if cost(costs, found, kept) <= share * sum(costs.values()):
            return kept
    return None


def least(model: tf_keras.Model) -> float:
    """Share of multiply-accumulates that no cut goes below; 1 if no filter can go."""
    costs, found = macs(model), inner(model)
    if not found:
        return 1.0
    fewest = {part.maker: _step(part.count) for part in found}
    return cost(costs, found, fewest) / sum(costs.values())


def cost(costs: dict[str, int], found: list[Inner], kept: dict[str, int]) -> float:
    """Multiply-accumulates that are left where each maker keeps so many channels."""
    left = {name: float(value) for name, value in costs.items()}
    for part in found:
        for name in {part.maker, *part.between, *part.takers} & set(left):
            left[name] *= kept[part.maker] / part.count
    return sum(left.values())


def without(
    model: tf_keras.Model, found: list[Inner], kept: dict[str, int]
) -> tf_keras.Model:
    """The model with the smallest channels gone, weights copied.

    Small is a channel by the L1 norm of its filter, its norm folded in: as it
    stands in the file.

    Args:
        model: A functional tf_keras model without nested or shared ones.
        found: As `inner` gives them.
        kept: Maker to the number of channels that stay.

    Source:
        Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017, section 3.
    """
    weights = {layer.name: layer.get_weights() for layer in model.layers}
    filters = folding.fold(model)
    for part in found:
        kernel = np.abs(filters.get_layer(part.maker).kernel.numpy())
        size = kernel.reshape(-1, part.count).sum(axis=0)
        stay = np.sort(np.argsort(-size, kind="stable")[: kept[part.maker]])

        def cut(array, axis, stay=stay, count=part.count):
            return _take(array, axis, stay, count)

        weights[part.maker] = [cut(array, -1) for array in weights[part.maker]]
        for name in part.between:
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
    """Whether only kernels take in what a layer gives; notes who they are."""
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
    """Whether each channel of what a layer gives depends on all others."""
    activation = getattr(layer, "activation", None)
    return "softmax" in getattr(activation, "__name__", "")


def _take(array, axis, stay, count):
    """Channels `stay` of an axis that holds all of them, at each pixel if flat."""
    axis %= array.ndim
    before, after = array.shape[:axis], array.shape[axis + 1 :]
    parted = array.reshape(*before, -1, count, *after)
    return parted.take(stay, axis + 1).reshape(*before, -1, *after)


def _rounded(count, part):
    """Many channels stay in fours, which kernels compute at once."""
    step = _step(count)
    return min(count, max(step, step * round(part * count / step)))


def _step(count):
    return 4 if count >= 16 else 1
