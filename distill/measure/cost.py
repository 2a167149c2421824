"""A Keras 3 network -> what it costs: weights and multiply-accumulates."""

import dataclasses
import math

import numpy as np


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one network holds, and what one image asks of it.

    Attributes:
        parameters: All weights, BatchNormalization's statistics too.
        macs: Multiply-accumulates of kernels, for one image.
        kernels: Entries of all kernels: convolutions and dense layers.
        tables: Entries of all tables in which ids are looked up.
        channels: Outputs of those layers: biases, once BatchNormalization is
            folded into the kernels.
        layers: Number of those layers.
        activations: Numbers that those layers put out, for one image.
    """

    parameters: int
    macs: int
    kernels: int
    tables: int
    channels: int
    layers: int
    activations: int


def count(network) -> Cost:
    """Counts what a built functional `keras.Model` costs."""
    layers = list(_layers(network))
    tables = [x for x in network.layers if hasattr(x, "embeddings")]
    return Cost(
        parameters=network.count_params(),
        macs=sum(_macs(layer) for layer in layers),
        kernels=sum(math.prod(layer.kernel.shape) for layer in layers),
        tables=sum(math.prod(table.embeddings.shape) for table in tables),
        channels=sum(layer.output.shape[-1] for layer in layers),
        layers=len(layers),
        activations=sum(math.prod(layer.output.shape[1:]) for layer in layers),
    )


def sparsity(network) -> float:
    """Share of exact zeros among the entries of all kernels, in [0, 1].

    Depthwise ones are left out: they are small, and no pruning cuts them.
    """
    import keras

    kernels = [
        keras.ops.convert_to_numpy(layer.kernel)
        for layer in _layers(network)
        if not isinstance(layer, keras.layers.DepthwiseConv2D)
    ]
    zeros = sum(np.count_nonzero(kernel == 0) for kernel in kernels)
    return float(zeros / sum(kernel.size for kernel in kernels))


def kernel_layers(network, prefix: str = "") -> list[str]:
    """Names of the layers with a kernel; those of a nested model begin with its."""
    names = []
    for layer in network.layers:
        if hasattr(layer, "layers"):
            names += kernel_layers(layer, f"{prefix}{layer.name}_")
        elif hasattr(layer, "kernel"):
            names.append(prefix + layer.name.removeprefix(prefix))
    return names


def _layers(network):
    """Every layer with a kernel, nested ones too, in order."""
    for layer in network.layers:
        if hasattr(layer, "layers"):
            yield from _layers(layer)
        elif hasattr(layer, "kernel"):
            yield layer


def _macs(layer):
    """A kernel's entries, each used at every pixel that the layer puts out."""
    return math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1])
