"""An op of a TFLite file -> its kernels, and its multiply-accumulates for one input.

What counts is said in `layer_macs`; the two agree on a network and its file.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

from distill.measure import graph as graphs  # `graph` is a file's, below.


@dataclasses.dataclass(frozen=True)
class Rule:
    """How an op multiplies.

    Attributes:
        macs: From a graph and such an op in it to multiply-accumulates.
        kernels: Which of its inputs are kernels, where they are constants; each to
            the axis on which every output has an entry.
        biases: Which are biases.
    """

    macs: Callable[[graphs.Graph, Any], int]
    kernels: dict[int, int]
    biases: tuple[int, ...] = ()


def rule(graph: graphs.Graph, op: Any) -> Rule | None:
    """How an op multiplies; None if it does not, or if nobody knows: see `UNKNOWN`."""
    if graph.name(op) != "BATCH_MATMUL":
        return _RULES.get(graph.name(op))
    turned = op.builtinOptions
    kernels = {0: -1 if turned.adjX else -2, 1: -2 if turned.adjY else -1}
    return Rule(_products, kernels)


def weights(graph: graphs.Graph, op: Any) -> dict[int, int | None]:
    """Constants that an op multiplies with, adds, or looks up.

    Returns:
        Index of each tensor that the file holds; of a kernel to the axis on which
        every output has an entry, else to None.
    """
    found, own = {}, rule(graph, op)
    places = dict.fromkeys(_TABLES.get(graph.name(op), ()))
    if own is not None:
        places |= dict.fromkeys(own.biases) | own.kernels
    for place, axis in places.items():
        if place < len(op.inputs) and op.inputs[place] >= 0:
            index = graph.constant(op.inputs[place])
            if graph.is_constant(index):
                found[index] = axis
    return found


def times(graph: graphs.Graph) -> Iterator[tuple[graphs.Graph, Any, int | None]]:
    """Every op of a file; the graph that it is in; how often it runs.

    Those inside a loop come behind it. None where the file does not tell how often:
    that depends on what it is given.
    """
    for op in graph.ops:
        yield graph, op, 1
        rounds = _rounds(graph, op) if graph.name(op) == "WHILE" else None
        for part in graph.inside(op):
            for inner, found, number in times(part):
                known = rounds is not None and number is not None
                yield inner, found, rounds * number if known else None


def _rounds(graph, op):
    """How often the body of a loop runs, where it counts up to a constant."""
    check, body = graph.inside(op)
    if {check.name(one) for one in check.ops} - {"LESS", "LOGICAL_AND"}:
        return None
    rounds = []
    for one in check.ops:
        if check.name(one) == "LOGICAL_AND":
            continue
        counter, limit = one.inputs
        if counter not in check.inputs or not check.is_constant(limit):
            return None
        place = check.inputs.index(counter)
        step, start = _step(body, place), op.inputs[place]
        if not step or not graph.is_constant(start):
            return None
        distance = check.values(limit).item() - graph.values(start).item()
        rounds.append(math.ceil(distance / step))
    return max(0, min(rounds)) if rounds else None


def _step(body, place):
    """By how much a round raises a number of a loop; None if not by a constant."""
    made = body.maker(body.outputs[place])
    if made is None or body.name(made) != "ADD":
        return None
    steps = [index for index in made.inputs if index != body.inputs[place]]
    if len(steps) != 1 or not body.is_constant(steps[0]):
        return None
    return body.values(steps[0]).item()


def _at_outputs(graph, op):
    """A kernel `(out, ...)`, or a depthwise `(1, ..., out)`: once a place made."""
    made = graph.shape(op.outputs[0])
    return graph.size(op.inputs[1]) * math.prod(made[:-1])


def _at_inputs(graph, op):
    """Of a transposed convolution: once a place given."""
    return graph.size(op.inputs[1]) * math.prod(graph.shape(op.inputs[2])[:-1])


def _dense(graph, op):
    """A kernel `(out, in)`; what is given may have any shape."""
    return graph.size(op.inputs[0]) * graph.shape(op.inputs[1])[0]


def _products(graph, op):
    given = graph.shape(op.inputs[0])
    return graph.size(op.outputs[0]) * given[-2 if op.builtinOptions.adjX else -1]


def _sequence(*kernels):
    """Each kernel `(out, in)` once a step."""

    def macs(graph, op):
        steps = graph.shape(op.inputs[0])[:-1]
        found = [op.inputs[at] for at in kernels if len(op.inputs) > at]
        sizes = [graph.size(index) for index in found if index >= 0]
        return math.prod(steps) * sum(sizes)

    return macs


_LSTM = (*range(1, 9), 16)  # Of inputs, of the state, of a projection.
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
# Which input of an op is a table that is looked up.
_TABLES = {"GATHER": (0,), "EMBEDDING_LOOKUP": (1,)}
# Ops that multiply, and of which nothing is known here.
UNKNOWN = {
    *("CUSTOM", "DELEGATE", "CALL", "CALL_ONCE", "IF", "SVDF", "RNN", "LSTM"),
    *("BIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_LSTM", "RFFT2D"),
    *("STABLEHLO_CONVOLUTION", "STABLEHLO_DOT_GENERAL", "STABLEHLO_CUSTOM_CALL"),
    *("STABLEHLO_COMPOSITE", "STABLEHLO_WHILE", "CONCAT_EMBEDDINGS"),
}
