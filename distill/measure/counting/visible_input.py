"""Finds how much of its input a TFLite file uses, if its first op is a mask."""

import numpy as np

from distill.measure.graph import Graph


def share(graph: Graph) -> float:
    """Share of the only input that is not multiplied by zero before all else.

    1 for a file without such a multiplication, or with several inputs.
    """
    index = graph.inputs[0]
    while len(users := [op for op in graph.ops if index in op.inputs]) == 1:
        if graph.name(users[0]) != "QUANTIZE":
            break
        index = users[0].outputs[0]
    if len(graph.inputs) > 1 or len(users) != 1 or graph.name(users[0]) != "MUL":
        return 1.0
    masks = [graph.constant(other) for other in users[0].inputs if other != index]
    if len(masks) != 1 or not graph.is_constant(masks[0]):
        return 1.0
    return float(np.count_nonzero(graph.values(masks[0])) / graph.size(masks[0]))
