"""Pairs representations of two networks that have equal size.

A size is a shape without the channels, which may differ.
"""

from collections.abc import Mapping

from students.keras_models.graph import Graph, names


def together(*graphs: Graph) -> list[dict[str, int]]:
    """Chooses the cuts of two networks: the best of each size that both have.

    Returns:
        For each network, name of each representation to the index of an operation.
    """
    best = [
        {graph.shape(row[-1])[:-1]: row[-1] for row in graph.proposals()}
        for graph in graphs
    ]
    sizes = [size for size in best[0] if size in best[1]]
    matching = names(len(sizes))
    return [
        {name: cuts[size] for name, size in zip(matching, sizes, strict=True)}
        for cuts in best
    ]


def beside(graph: Graph, other: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Chooses the cuts of a network that match the representations of another one.

    If the other has several of one size, the cuts are spread evenly over this network's
    operations of that size, the last on the last. If the other's stem has no partner,
    the input of the first kernel is the stem, which pairs with nothing.

    Args:
        graph: The graph of the network that is cut.
        other: Name of each representation of the other network to its shape.

    Returns:
        Name of each representation to the index of an operation.
    """
    cuts = {}
    for row in graph.proposals():
        size = graph.shape(row[-1])[:-1]
        matching = [name for name, shape in other.items() if shape[:-1] == size]
        # More names than cuts: the last ones, nearest to the logits.
        matching = matching[-len(row) :]
        for number, name in enumerate(matching, start=1):
            cuts[name] = row[round(number * len(row) / len(matching)) - 1]
    if not cuts or "stem" in cuts:
        return cuts
    return {"stem": graph.before_kernels(), **cuts}
