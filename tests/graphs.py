"""What TensorFlow makes of the functions that it traces."""

import collections
import contextlib


@contextlib.contextmanager
def optimized():
    """Collects the optimized graph of each function that runs within, as a list."""
    from tensorflow.python.eager import context

    found = []
    context.context().enable_graph_collection()
    try:
        yield found
        collected = context.context().export_run_metadata().function_graphs
        found += [each.post_optimization_graph for each in collected]
    finally:
        context.context().disable_graph_collection()


def unsettled_sums(graph):
    """Names of sums whose rounding depends on the threads.

    TensorFlow's `AddN` exchanges its first number and the first one that nothing else
    still has to read. Among the first two this changes nothing, as a + b is b + a. So
    one of these should have no other reader.
    """
    readers = collections.Counter(name for node in graph.node for name in node.input)
    return [
        node.name
        for node in graph.node
        if node.op == "AddN" and len(node.input) > 2
        if all(readers[name] > 1 for name in node.input[:2])
    ]
