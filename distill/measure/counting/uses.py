"""Finds how kernels are used, in networks and in TFLite files; see `energy.Use`."""

import math
from collections.abc import Iterable
from typing import Any

from distill.measure import energy
from distill.measure import graph as graphs  # `graph` is a file's, below.
from distill.measure.counting import calls, kernels
from distill.measure.counting.layer_macs import size
from distill.measure.kernel import Kernel

# Classes of layers whose kernels may share a budget of computation.
CUT = ("Dense", "Conv1D", "Conv2D")
_DEPTHWISE = ("DepthwiseConv1D", "DepthwiseConv2D")
_SEPARABLE = ("SeparableConv1D", "SeparableConv2D")


def of_network(network: Any) -> dict[str, energy.Layer]:
    """Name of each layer with a kernel to its kernels and their uses.

    The name of a nested model precedes those of its layers.

    Args:
        network: A built functional `keras.Model`.
    """
    found, all_calls = {}, calls.find(network)
    for name, layer in _layers(network, ""):
        own = list(kernels.find([layer]))
        if own:
            shapes = tuple(
                _out_last(kernel) for kernel in own if not kernel.is_depthwise
            )
            uses = (
                of_call(x.layer, x.inputs[0], x.output)
                for x in all_calls
                if x.layer is layer
            )
            found[name] = energy.Layer(
                shapes, tuple(one for use in uses for one in use)
            )
    return found


def _layers(network, prefix):
    for layer in network.layers:
        if hasattr(layer, "layers"):
            yield from _layers(layer, f"{prefix}{layer.name}_")
        else:
            yield prefix + layer.name.removeprefix(prefix), layer


def _out_last(kernel):
    *others, before, last = kernel.variable.shape
    # Kernels of transposed convolutions are `(..., out, in)`.
    is_transposed = "Transpose" in type(kernel.layer).__name__
    return (*others, last, before) if is_transposed else (*others, before, last)


def of_call(layer: Any, inputs: tuple, output: tuple) -> list[energy.Use]:
    """The uses of a layer's kernels in one call.

    Args:
        layer: A layer of either Keras version.
        inputs: The shape of its input, batch first.
        output: The shape of its output.

    Returns:
        One use for each kernel; none for a layer of another class than those above.
    """
    kind = type(layer).__name__
    if kind not in (*CUT, *_DEPTHWISE, *_SEPARABLE):
        return []
    places, ends = size(output[1:-1]), [size(inputs[1:]), size(output[1:])]
    own = list(kernels.find([layer]))
    if kind in _SEPARABLE:
        between = places * own[0].outputs
        pairs = [(ends[0], between), (between, ends[1])]
    else:
        pairs = [(ends[0], ends[1])]
    return [
        energy.Use(
            tuple(kernel.variable.shape),
            places,
            *pair,
            groups=1 if kernel.is_depthwise else getattr(layer, "groups", 1),
            depthwise=kernel.is_depthwise,
        )
        for kernel, pair in zip(own, pairs, strict=True)
    ]


def of_op(
    graph: graphs.Graph, op: Any, described: Iterable[Kernel]
) -> energy.Use | None:
    """The use of a kernel by an op of a file.

    Args:
        graph: The graph of the op.
        op: The op.
        described: Its kernel, described; none if it is depthwise.

    Returns:
        None for an op that is not one of `graphs.WEIGHTED`, or has no constant kernel.
    """
    name = graph.name(op)
    if name not in graphs.WEIGHTED:
        return None
    index = graph.constant(op.inputs[graphs.KERNEL])
    if not graph.is_constant(index):
        return None
    kernel, inputs = graph.shape(index), graph.shape(op.inputs[0])
    output = graph.shape(op.outputs[0])
    ends = math.prod(inputs), math.prod(output)
    if name == "DEPTHWISE_CONV_2D":  # The kernel is `(1, ..., out)`.
        shape = (*kernel[1:-1], inputs[-1], kernel[-1] // inputs[-1])
        return energy.Use(shape, math.prod(output[1:-1]), *ends, depthwise=True)
    shape = (*kernel[1:], kernel[0])
    is_dense = name == "FULLY_CONNECTED"
    places = math.prod(output[:-1]) if is_dense else math.prod(output[1:-1])
    groups = 1 if is_dense else inputs[-1] // kernel[-1]
    zeros = sum(kernel.zeros for kernel in described)
    return energy.Use(shape, places, *ends, groups=groups, zeros=zeros)
