"""A Keras 3 network -> what it costs: weights and multiply-accumulates."""

import dataclasses

import numpy as np

from distill.measure.counting import calls, kernels, layer_macs, layer_ops

SMALL = 1024  # So few, and a kernel stays float where activations come as floats.


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one network holds, and what one image asks of it.

    Attributes:
        parameters: All weights, BatchNormalization's statistics too.
        macs: Multiply-accumulates for one image, see `layer_macs`.
        kernels: Entries of all kernels.
        tables: Entries of all tables in which ids are looked up.
        channels: Outputs of kernels: biases, once BatchNormalization is
            folded into the kernels.
        layers: Number of kernels.
        activations: Numbers that calls with kernels put out, for one image.
        small: Entries of kernels that have fewer than `SMALL`.
        ops: About how many ops of a TFLite file it becomes.
        uncounted: Names of the layers and operations whose multiply-accumulates
            are not known: where there are any, `macs` is a lower bound.
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


def count(network) -> Cost:
    """Counts what a built functional `keras.Model` costs."""
    found = calls.find(network)
    counts = [layer_macs.count(one.layer, one.given, one.made) for one in found]
    held = _kernels(found)
    tables = [x for x in network.weights if x.name.endswith("embeddings")]
    images = network.inputs[0].shape[0] or 1  # A network may be built for a batch.
    return Cost(
        parameters=network.count_params(),
        macs=sum(filter(None, counts)) // images,
        kernels=sum(kernel.size for kernel in held),
        tables=sum(layer_macs.size(table.shape) for table in tables),
        channels=sum(kernel.outputs for kernel in held),
        layers=len(held),
        activations=sum(
            layer_macs.size(one.made) for one in found if any(_kernels([one]))
        )
        // images,
        small=sum(kernel.size for kernel in held if kernel.size < SMALL),
        ops=sum(layer_ops.count(one.layer, (*one.given, ())[0]) for one in found),
        uncounted=tuple(
            dict.fromkeys(
                one.layer.name
                for one, macs in zip(found, counts, strict=True)
                if macs is None or (macs and _is_open(one))
            )
        ),
    )


def _is_open(call):
    """Whether a size other than the batch is not known."""
    return any(None in shape[1:] for shape in call.given)


def _kernels(found):
    """What is multiplied with in calls, each kernel once."""
    layers = (one.layer for one in found if hasattr(one.layer, "weights"))
    return list(kernels.find(layers))


def sparsity(network) -> float:
    """Share of exact zeros among the entries of all kernels, in [0, 1].

    Depthwise ones are left out: they are small, and no pruning cuts them.
    """
    import keras

    held = [
        keras.ops.convert_to_numpy(kernel.variable)
        for kernel in _kernels(calls.find(network))
        if not kernel.is_depthwise
    ]
    zeros = sum(np.count_nonzero(kernel == 0) for kernel in held)
    return float(zeros / max(1, sum(kernel.size for kernel in held)))


def kernel_layers(network, prefix: str = "") -> list[str]:
    """Names of the layers with a kernel; those of a nested model begin with its."""
    names = []
    for layer in network.layers:
        if hasattr(layer, "layers"):
            names += kernel_layers(layer, f"{prefix}{layer.name}_")
        elif any(kernels.find([layer])):
            names.append(prefix + layer.name.removeprefix(prefix))
    return names
