"""Counts the multiply-accumulates of an op of a TFLite file, and finds its kernels.

`layer_macs` defines what counts; both give the same number for a network and its file.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

from distill.measure import graph as graphs  # `graph` is a file's, below.


@dataclasses.dataclass(frozen=True)
class Rule:
    """The multiplication of a kind of op.

    Attributes:
        macs: A function from a graph and an op in it to multiply-accumulates.
        kernels: Place of each input that is a kernel, if it is a constant, to the
            axis of its output channels.
        biases: Places of the inputs that are biases.
    """

    macs: Callable[[graphs.Graph, Any], int]
    kernels: dict[int, int]
    biases: tuple[int, ...] = ()


def rule(graph: graphs.Graph, op: Any) -> Rule | None:
    """The rule of an op; None if it does not multiply, or is one of `UNKNOWN`."""
    if graph.name(op) != "BATCH_MATMUL":
        return _RULES.get(graph.name(op))
    options = op.builtinOptions  # Either operand may be transposed.
    kernels = {0: -1 if options.adjX else -2, 1: -2 if options.adjY else -1}
    return Rule(_products, kernels)


def weights(graph: graphs.Graph, op: Any) -> dict[int, int | None]:
    """Constants that an op multiplies with, adds, or looks up.

    Returns:
        Index of each constant tensor to the axis of output channels for a kernel, to
        None for others.
    """
    axes, own = {}, rule(graph, op)
    places = dict.fromkeys(_TABLES.get(graph.name(op), ()))
    if own is not None:
        places |= dict.fromkeys(own.biases) | own.kernels
    for place, axis in places.items():
        # An optional input is missing, or has the index -1.
        if place < len(op.inputs) and op.inputs[place] >= 0:
            index = graph.constant(op.inputs[place])
            if graph.is_constant(index):
                axes[index] = axis
    return axes


def ops_with_counts(
    graph: graphs.Graph,
) -> Iterator[tuple[graphs.Graph, Any, int | None]]:
    """Every op of a file: its graph, the op, and how often it runs.

    Ops inside a loop follow the loop. The number is None if it depends on the input.
    """
    for op in graph.ops:
        yield graph, op, 1
        rounds = _rounds(graph, op) if graph.name(op) == "WHILE" else None
        for part in graph.subgraphs(op):
            for inner, inner_op, number in ops_with_counts(part):
                known = rounds is not None and number is not None
                yield inner, inner_op, rounds * number if known else None


def _rounds(graph, op):
    """How often the body of a loop runs; None unless it counts up to a constant.

    TensorFlow's loop over steps has two counters, both of which must be below a limit.
    """
    condition, body = graph.subgraphs(op)
    if {condition.name(part) for part in condition.ops} - {"LESS", "LOGICAL_AND"}:
        return None
    rounds = []
    for comparison in condition.ops:
        if condition.name(comparison) == "LOGICAL_AND":
            continue
        counter, limit = comparison.inputs
        if counter not in condition.inputs or not condition.is_constant(limit):
            return None
        place = condition.inputs.index(counter)
        step, start = _step(body, place), op.inputs[place]
        if not step or not graph.is_constant(start):
            return None
        distance = condition.values(limit).item() - graph.values(start).item()
        rounds.append(math.ceil(distance / step))
    return max(0, min(rounds)) if rounds else None


def _step(body, place):
    """The constant that each round adds to a counter; None if it is no constant."""
    addition = body.producer(body.outputs[place])
    if addition is None or body.name(addition) != "ADD":
        return None
    steps = [index for index in addition.inputs if index != body.inputs[place]]
    if len(steps) != 1 or not body.is_constant(steps[0]):
        return None
    return body.values(steps[0]).item()


def _at_outputs(graph, op):
    """A kernel `(out, ...)`, or a depthwise `(1, ..., out)`: for every output pixel."""
    shape = graph.shape(op.outputs[0])
    return graph.size(op.inputs[1]) * math.prod(shape[:-1])


def _at_inputs(graph, op):
    """A transposed convolution: for every input position."""
    return graph.size(op.inputs[1]) * math.prod(graph.shape(op.inputs[2])[:-1])


def _dense(graph, op):
    """A kernel `(out, in)`; the input may have any shape."""
    return graph.size(op.inputs[0]) * graph.shape(op.inputs[1])[0]


def _products(graph, op):
    shape = graph.shape(op.inputs[0])
    return graph.size(op.outputs[0]) * shape[-2 if op.builtinOptions.adjX else -1]


def _sequence(*kernels):
    """Each kernel `(out, in)` is used once in every step."""

    def macs(graph, op):
        steps = graph.shape(op.inputs[0])[:-1]
        indices = [op.inputs[place] for place in kernels if len(op.inputs) > place]
        sizes = [graph.size(index) for index in indices if index >= 0]
        return math.prod(steps) * sum(sizes)

    return macs


_LSTM = (*range(1, 9), 16)  # Kernels of the input, the state and a projection.
_RULES = {
    "CONV_2D": Rule(_at_outputs, {1: 0}, (2,)),
    "DEPTHWISE_CONV_2D": Rule(_at_outputs, {1: -1}, (2,)),
    "CONV_3D": Rule(_at_outputs, {1: -1}, (2,)),
    "TRANSPOSE_CONV": Rule(_at_inputs, {1: 0}, (3,)),
    "CONV_3D_TRANSPOSE": Rule(_at_inputs, {1: -2}, (3,)),
    "FULLY_CONNECTED": Rule(_dense, {1: 0}, (2,)),
    "UNIDIRECTIONAL_SEQUENCE_RNN": Rule(_sequence(1, 2), {1: 0, 2: 0}, (3,)),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Rule(
        _sequence(*_LSTM), dict.fromkeys(_LSTM, 0), (12, 13, 14, 15)
    ),
}
# Op -> the places of inputs that are tables for look-ups.
_TABLES = {"GATHER": (0,), "EMBEDDING_LOOKUP": (1,)}
# Ops that may multiply, in a number that is unknown here.
UNKNOWN = {
    *("CUSTOM", "DELEGATE", "CALL", "CALL_ONCE", "IF", "SVDF", "RNN", "LSTM"),
    *("BIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_LSTM", "RFFT2D"),
    *("STABLEHLO_CONVOLUTION", "STABLEHLO_DOT_GENERAL", "STABLEHLO_CUSTOM_CALL"),
    *("STABLEHLO_COMPOSITE", "STABLEHLO_WHILE", "CONCAT_EMBEDDINGS"),
}
