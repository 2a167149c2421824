"""What TensorFlow makes of the functions that it traces."""

import collections
import contextlib

SAME_MEMORY = {"ExpandDims", "Identity", "Reshape", "Snapshot", "Squeeze"}
KEPT = {"Const", "Placeholder", "ReadVariableOp", "_Arg"}  # Nobody may write there.


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

    TensorFlow's `AddN` adds into the first of its numbers that nothing else still has
    to read, and begins with it. If others read a number too, that depends on who was
    first. Whether it begins with the first or the second makes no difference.
    """
    nodes = {node.name: node for node in graph.node}

    def origin(name):
        """The output whose memory this one is."""
        node = nodes[name.split(":")[0]]
        return origin(node.input[0]) if node.op in SAME_MEMORY else name

    readers = collections.Counter(
        origin(name)
        for node in graph.node
        if node.op not in SAME_MEMORY
        for name in node.input
        if not name.startswith("^")
    )

    def beginnings(numbers):
        for index, name in enumerate(numbers):
            source = origin(name)
            if nodes[source.split(":")[0]].op in KEPT:
                continue
            yield max(index, 1)
            if readers[source] == 1:
                return
        yield 1  # With the first, into new memory.

    return [
        node.name
        for node in graph.node
        if node.op == "AddN"
        if len(set(beginnings([x for x in node.input if x[0] != "^"]))) > 1
    ]
