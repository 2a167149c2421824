"""The graph of a flat functional Keras model: finds places to cut it, and cuts it."""

from __future__ import annotations

import itertools
import math
import typing
from collections.abc import Iterable, Mapping, Sequence

if typing.TYPE_CHECKING:
    import keras


class Graph:
    """Every operation of a flat model, in topological order.

    Args:
        network: As `students.keras_models.flat.flatten` returns it.

    Attributes:
        network: The same.
        names: Names of the operations.
        tensors: The output of each operation.
    """

    def __init__(self, network: keras.Model):
        self.network = network
        by_depth = network._nodes_by_depth
        self._nodes = [
            node for depth in sorted(by_depth)[::-1] for node in by_depth[depth]
        ]
        self.names = [node.operation.name for node in self._nodes]
        self.tensors = [node.outputs[0] for node in self._nodes]
        producers = {
            id(tensor): index
            for index, node in enumerate(self._nodes)
            for tensor in node.outputs
        }
        self._edges = [
            (producers[id(tensor)], index)
            for index, node in enumerate(self._nodes)
            for tensor in node.input_tensors
        ]

    def shape(self, index: int) -> tuple[int, ...]:
        """Shape of an operation's output for one example."""
        return tuple(self.tensors[index].shape[1:])

    def find(self, name: str) -> int:
        """The index of a named operation after which the model can be cut.

        Raises:
            ValueError: If it cannot be cut there; names an edge that jumps over it.
        """
        places = [index for index, known in enumerate(self.names) if known == name]
        if len(places) != 1:
            raise ValueError(
                f"`sections` must name layers that are called once. Received: {name}, "
                f"which is called {len(places)} times in {self.network.name}"
            )
        jumps = self._jumps(places[0])
        if jumps:
            over, to = (self.names[end] for end in jumps[0])
            raise ValueError(
                "`sections` must name layers that everything passes through. "
                f"Received: {name}, over which {over} -> {to} jumps"
            )
        return places[0]

    def places(self, layers: Sequence[str]) -> dict[str, int]:
        """Name of each representation, in order, to the index of a named layer.

        Raises:
            ValueError: If the model cannot be cut there, or not in this order.
        """
        indices = [self.find(layer) for layer in layers]
        if indices != sorted(indices):
            order = sorted(layers, key=self.names.index)
            raise ValueError(
                f"`sections` must name layers in the order in which they work. "
                f"Received: {', '.join(layers)}; expected {', '.join(order)}"
            )
        return dict(zip(names(len(indices)), indices, strict=True))

    def proposals(self) -> list[list[int]]:
        """Suitable places to cut the model, for each size except the input's, in order.

        These are operations that all data pass through, after the first kernel, each
        with the norm and the rectifier that follow it. A last 1x1 convolution that
        more than doubles the channels is left out, since it opens the next block, as
        in inverted residual blocks; so are outputs with more channels than the last
        one of their size.

        Returns:
            For each size (a shape without the channels), the indices of the
            operations, of which the last is the best. Sizes only shrink.
        """
        start = self.before_kernels()
        suitable = [
            index
            for index in range(start + 1, len(self._nodes))
            if len(self.shape(index)) > 1
            and None not in self.shape(index)
            and not self._jumps(index)
            and not self._has_follower(index)
        ]
        sizes: list[list[int]] = []
        for size, group in itertools.groupby(suitable, lambda i: self.shape(i)[:-1]):
            if sizes and math.prod(size) > math.prod(self.shape(sizes[-1][0])[:-1]):
                continue  # Padding.
            candidates = list(group)
            while candidates and self._is_expansion(candidates[-1]):
                candidates.pop()
            sizes += [self._drop_wider(candidates)] if candidates else []
        return sizes

    def before_kernels(self) -> int:
        """The last operation before the first kernel that all data pass through."""
        first = next(i for i, node in enumerate(self._nodes) if _has_kernel(node))
        return max(index for index in range(first) if not self._jumps(index))

    def cut(self, places: Mapping[str, int]) -> keras.Model:
        """Builds a model under the contract of `students` from the same layers.

        Args:
            places: Name of each representation, in order, to an operation that
                all data pass through.

        Raises:
            ValueError: If a layer is in two sections, or has the name of a section.
        """
        import keras

        network = self.network
        outputs, previous, x = {}, None, network.inputs[0]
        for name, index in places.items():
            tensor = self.tensors[index]
            if previous is None:
                x = tensor
            else:
                x = keras.Model(*_rebuild(previous, tensor), name=name)(x)
            outputs[name], previous = x, tensor
        if previous is None:
            return keras.Model(network.inputs[0], {"logits": network.output})
        _, outputs["logits"] = _rebuild(previous, network.output, x)
        self._check_sections(places)
        return keras.Model(network.inputs[0], outputs, name=network.name)

    def _check_sections(self, places):
        """Refuses layers in two sections: a saved file would have two copies."""
        bounds = [*places.values(), len(self._nodes)]
        homes: dict[str, int] = {}
        for index, name in enumerate(self.names):
            home = next(i for i, bound in enumerate(bounds) if index <= bound)
            if homes.setdefault(name, home) != home:
                raise ValueError(
                    f"`sections` must leave each layer in one section. Received: "
                    f"{', '.join(self.names[i] for i in places.values())}, on both "
                    f"sides of which {name} works"
                )
            if name in places:
                raise ValueError(
                    f"must have no layer named as a section. Received: {name}"
                )

    def _jumps(self, index):
        """Edges that skip an operation; without any, the model can be cut after it."""
        return [(a, b) for a, b in self._edges if a < index < b]

    def _users(self, index):
        return [b for a, b in self._edges if a == index]

    def _producers(self, index):
        return [a for a, b in self._edges if b == index]

    def _follows(self, index):
        """Whether an operation only normalizes or rectifies the previous output."""
        producers = self._producers(index)
        alone = len(producers) == 1 and self.shape(producers[0]) == self.shape(index)
        return alone and not _has_kernel(self._nodes[index])

    def _has_follower(self, index):
        users = self._users(index)
        return len(users) == 1 and self._follows(users[0])

    def _is_expansion(self, index):
        while self._follows(index):
            (index,) = self._producers(index)
        layer = self._nodes[index].operation
        if set(getattr(layer, "kernel_size", ())) != {1}:
            return False
        (source,) = self._producers(index)
        same_size = self.shape(source)[:-1] == self.shape(index)[:-1]
        return same_size and self.shape(index)[-1] > 2 * self.shape(source)[-1]

    def _drop_wider(self, places):
        channels = self.shape(places[-1])[-1]
        return [index for index in places if self.shape(index)[-1] <= channels]


def names(count: int) -> list[str]:
    """The names of so many representations under the contract."""
    return ["stem", *(f"section{index}" for index in range(1, count))][:count]


def _rebuild(start, end, x=None):
    """Applies the layers between two tensors to `x`, or to a new input.

    Returns:
        The input and the output.
    """
    import keras

    if x is None:
        x = keras.Input(start.shape[1:], name="given")
    # Not called as a model, which would be a layer around the others.
    return x, keras.Model(start, end)._run_through_graph(x)


def _has_kernel(node) -> bool:
    """Whether an operation has weights beyond one number for each channel."""
    weights: Iterable = getattr(node.operation, "weights", ())
    return any(
        math.prod(weight.shape) > max(weight.shape, default=1) for weight in weights
    )
