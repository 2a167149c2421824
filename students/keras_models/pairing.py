"""Which representations of two networks are compared: those of equal size.

A size is a shape but for the channels, which may differ.
"""

from collections.abc import Mapping

from students.keras_models.graph import Graph, names


def together(*graphs: Graph) -> list[dict[str, int]]:
    """Cuts of two networks: the best of each size that both have, named in order.

    Returns:
        For each network, name of each representation to the index of an operation.
    """
    best = [
        {graph.shape(row[-1])[:-1]: row[-1] for row in graph.proposals()}
        for graph in graphs
    ]
    sizes = [size for size in best[0] if size in best[1]]
    called = names(len(sizes))
    return [
        {name: found[size] for name, size in zip(called, sizes, strict=True)}
        for found in best
    ]


def beside(graph: Graph, other: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Cuts of a network at the sizes that another has, named as the other's.

    Where the other has several of one size, this one's are spread evenly over what it
    has of it, the last on the last. Where the other's stem has no partner, what goes
    into the first kernel is the stem, and pairs with nothing.

    Args:
        graph: Of the network that is cut.
        other: Name of each representation of the other network to its shape.

    Returns:
        Name of each representation to the index of an operation.
    """
    found = {}
    for row in graph.proposals():
        size = graph.shape(row[-1])[:-1]
        called = [name for name, shape in other.items() if shape[:-1] == size]
        # More names than cuts: the last ones, nearest to the logits.
        called = called[-len(row) :]
        for number, name in enumerate(called, start=1):
            found[name] = row[round(number * len(row) / len(called)) - 1]
    if not found or "stem" in found:
        return found
    return {"stem": graph.before_kernels(), **found}
