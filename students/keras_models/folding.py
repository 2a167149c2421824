"""A copy of a Keras model whose norms are folded into the kernels before them."""

from __future__ import annotations

import collections
import random
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from students.keras_models.copying import copy_weights

if typing.TYPE_CHECKING:
    import keras


def foldable(network: keras.Model) -> dict[keras.Layer, keras.Layer]:
    """Each layer with a kernel to the norm that can be folded into it.

    Both are called once, at whatever depth, and nothing but the norm reads what the
    layer returns: no other layer, and no output of a model.

    Args:
        network: A built functional model, which may contain others.
    """
    import keras

    calls: collections.Counter = collections.Counter()
    readers: dict[int, list] = collections.defaultdict(list)
    made = {}
    for graph in _graphs(network, set()):
        for tensor in graph.outputs:
            readers[id(tensor)].append(None)
        for node in (n for level in graph._nodes_by_depth.values() for n in level):
            calls[node.operation] += 1
            made[node.operation] = node.outputs[0]
            for tensor in node.input_tensors:
                readers[id(tensor)].append(node.operation)
    found = {}
    for layer, tensor in made.items():
        behind = readers[id(tensor)]
        if _is_linear_kernel(layer) and len(behind) == 1:
            (norm,) = behind
            # Exactly: a subclass may compute something else.
            is_norm = type(norm) is keras.layers.BatchNormalization
            if is_norm and norm.axis in (-1, len(tensor.shape) - 1):
                found[layer] = norm
    return {
        layer: norm for layer, norm in found.items() if calls[layer] == calls[norm] == 1
    }


def fold(network: keras.Model, norms: Mapping[keras.Layer, keras.Layer]) -> keras.Model:
    """Copies a model without some of its norms, which are folded into kernels.

    Args:
        network: As in `foldable`, which it shares no weights with afterwards.
        norms: What `foldable` found, or a part of it.

    Returns:
        A model with the outputs of `network` in inference mode, up to rounding.
    """
    import keras

    copies: list[tuple[keras.Layer, Any]] = []

    def copy(layer):
        if layer in norms.values():
            return keras.layers.Identity(name=layer.name)
        more = {"use_bias": True} if layer in norms else {}
        copies.append((layer, type(layer).from_config(layer.get_config() | more)))
        return copies[-1][1]

    def call(layer, *arguments, **options):
        if not isinstance(layer, keras.layers.Identity):
            return layer(*arguments, **options)
        # Not called: it refuses the other arguments of a norm.
        return arguments[0] if arguments else options["inputs"]

    # Initial weights draw seeds; whatever is random afterwards must not notice.
    state = random.getstate()
    try:
        folded = keras.models.clone_model(
            network, clone_function=copy, call_function=call, recursive=True
        )
    finally:
        random.setstate(state)
    for layer, new in copies:
        if layer in norms:
            new.set_weights(absorb(layer, norms[layer]))
        elif isinstance(layer, keras.Layer):
            copy_weights(layer, new)
    return folded


def absorb(layer: Any, norm: Any) -> list[np.ndarray]:
    """Kernel and bias of a layer that computes what a layer and a norm do together.

    Args:
        layer: A layer of Keras or tf_keras with one kernel and no activation.
        norm: The BatchNormalization of its channels, in inference mode.
    """
    kernel, *biases = layer.get_weights()
    scale, offset = affine(norm)
    # By name, since tf_keras has the same layers as other classes.
    kind, factors = type(layer).__name__, scale
    if kind.endswith("Transpose"):
        factors = scale[:, None]
    elif kind.startswith("Depthwise"):
        factors = scale.reshape(kernel.shape[-2:])
    return [kernel * factors, sum(biases) * scale + offset]


def affine(norm: Any) -> tuple[np.ndarray, np.ndarray]:
    """Scale and offset of a norm in inference mode; it may lack gamma or beta.

    Args:
        norm: A BatchNormalization of Keras or tf_keras.
    """
    gamma = norm.gamma.numpy() if norm.scale else 1
    beta = norm.beta.numpy() if norm.center else 0
    scale = gamma / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
    return scale, beta - norm.moving_mean.numpy() * scale


def _graphs(network, known) -> Iterator[Any]:
    """The functional models in a model, each once, with itself."""
    import keras

    graph = getattr(network, "_functional", network)
    if graph in known or not hasattr(graph, "_nodes_by_depth"):
        return
    known.add(graph)
    yield graph
    for layer in graph.layers:
        if isinstance(layer, keras.Model):
            yield from _graphs(layer, known)


def _is_linear_kernel(layer):
    """Whether this layer has one kernel, channels last, and no activation."""
    from keras import activations, layers

    kinds = (
        layers.Conv1D,
        layers.Conv2D,
        layers.Conv3D,
        layers.Conv1DTranspose,
        layers.Conv2DTranspose,
        layers.Conv3DTranspose,
        layers.DepthwiseConv1D,
        layers.DepthwiseConv2D,
        layers.Dense,
    )
    return (
        type(layer) in kinds
        and layer.activation is activations.linear
        and getattr(layer, "data_format", "channels_last") == "channels_last"
        # A quantized layer has scales too, one with LoRA more kernels.
        and len(layer.weights) == 1 + layer.use_bias
    )
