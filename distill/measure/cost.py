"""Counts the weights and multiply-accumulates of a Keras 3 network."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from distill.measure import energy
from distill.measure.counting import calls, kernels, layer_macs, layer_ops, uses

# Entries below which the converter leaves a kernel in float, if activations are floats.
SMALL = 1024


@dataclasses.dataclass(frozen=True)
class Cost:
    """The size of one network, and its computation for one image.

    Attributes:
        parameters: All weights, including BatchNormalization's statistics.
        macs: Multiply-accumulates for one image; see `layer_macs`.
        kernels: Entries of all kernels.
        tables: Entries of all tables in which ids are looked up.
        channels: Output channels of all kernels; also the number of biases, once
            BatchNormalization is folded into the kernels.
        layers: Number of kernels.
        activations: Entries of the outputs of all calls with kernels, for one image.
        small: Entries of kernels that have fewer than `SMALL`.
        ops: Approximate number of ops of the TFLite file.
        uncounted: Names of the layers and operations whose multiply-accumulates are
            unknown. If there are any, `macs` is a lower bound.
        by_layer: Name of each layer with a kernel to its kernels and their uses.
    """

    parameters: int
    macs: int
    kernels: int
    tables: int
    channels: int
    layers: int
    activations: int
    small: int = 0
    ops: int = 0
    uncounted: tuple[str, ...] = ()
    by_layer: Mapping[str, energy.Layer] = dataclasses.field(default_factory=dict)


def count(network) -> Cost:
    """The cost of a built functional `keras.Model`."""
    layer_calls = calls.find(network)
    counts = [
        layer_macs.count(one.layer, one.inputs, one.output) for one in layer_calls
    ]
    all_kernels = _kernels(layer_calls)
    # Keras has no other mark of a table than the name of its weight.
    tables = [x for x in network.weights if x.name.endswith("embeddings")]
    images = network.inputs[0].shape[0] or 1  # A network may be built for a batch.
    return Cost(
        parameters=network.count_params(),
        macs=sum(filter(None, counts)) // images,
        kernels=sum(kernel.size for kernel in all_kernels),
        tables=sum(layer_macs.size(table.shape) for table in tables),
        channels=sum(kernel.outputs for kernel in all_kernels),
        layers=len(all_kernels),
        activations=sum(
            layer_macs.size(one.output) for one in layer_calls if any(_kernels([one]))
        )
        // images,
        small=sum(kernel.size for kernel in all_kernels if kernel.size < SMALL),
        ops=sum(
            layer_ops.count(one.layer, (*one.inputs, ())[0]) for one in layer_calls
        ),
        uncounted=tuple(
            dict.fromkeys(
                one.layer.name
                for one, macs in zip(layer_calls, counts, strict=True)
                if macs is None or (macs and _is_open(one))
            )
        ),
        by_layer=uses.of_network(network),
    )


def _is_open(call):
    """Whether a size other than that of the batch is unknown."""
    return any(None in shape[1:] for shape in call.inputs)


def _kernels(layer_calls):
    """The kernels of all called layers, each once."""
    layers = (one.layer for one in layer_calls if hasattr(one.layer, "weights"))
    return list(kernels.find(layers))


def sparsity(network) -> float:
    """Share of exact zeros among the entries of all kernels, in [0, 1].

    Without depthwise kernels, which are small and never pruned.
    """
    import keras

    all_kernels = [
        keras.ops.convert_to_numpy(kernel.variable)
        for kernel in _kernels(calls.find(network))
        if not kernel.is_depthwise
    ]
    zeros = sum(np.count_nonzero(kernel == 0) for kernel in all_kernels)
    return float(zeros / max(1, sum(kernel.size for kernel in all_kernels)))
