"""The graph of a flat functional Keras model: searched for cuts, and cut."""

from __future__ import annotations

import itertools
import math
import typing
from collections.abc import Iterable, Mapping, Sequence

if typing.TYPE_CHECKING:
    import keras


class Graph:
    """Every operation of a flat model, each after what it needs.

    Args:
        network: As `students.keras_models.flat.flatten` returns it.

    Attributes:
        network: The same.
        names: Of the operations.
        tensors: What each returns.
    """

    def __init__(self, network: keras.Model):
        self.network = network
        by_depth = network._nodes_by_depth
        self._nodes = [
            node for depth in sorted(by_depth)[::-1] for node in by_depth[depth]
        ]
        self.names = [node.operation.name for node in self._nodes]
        self.tensors = [node.outputs[0] for node in self._nodes]
        made = {
            id(tensor): index
            for index, node in enumerate(self._nodes)
            for tensor in node.outputs
        }
        self._edges = [
            (made[id(tensor)], index)
            for index, node in enumerate(self._nodes)
            for tensor in node.input_tensors
        ]

    def shape(self, index: int) -> tuple[int, ...]:
        """Of one example of what an operation returns."""
        return tuple(self.tensors[index].shape[1:])

    def find(self, name: str) -> int:
        """The operation of a name, if the model can be cut after it.

        Raises:
            ValueError: Names the edge that jumps over it, or what else is wrong.
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
        """Representations, in order, at the outputs of layers of these names.

        Raises:
            ValueError: If the model cannot be cut there, or not in this order.
        """
        found = [self.find(layer) for layer in layers]
        if found != sorted(found):
            order = sorted(layers, key=self.names.index)
            raise ValueError(
                f"`sections` must name layers in the order in which they work. "
                f"Received: {', '.join(layers)}; expected {', '.join(order)}"
            )
        return dict(zip(names(len(found)), found, strict=True))

    def proposals(self) -> list[list[int]]:
        """Where the model may well be cut: for each size but the input's, in order.

        Only what everything passes through, behind the first kernel, and with the
        norm and the rectifier that follow it. What a last 1x1 convolution widens
        more than twofold belongs to the block that it opens, as in inverted residual
        blocks; what is wider than the last one of its size is left out too.

        Returns:
            For each size (all of a shape but the channels): the operations, of
            which the last is the best. Sizes only shrink.
        """
        start = self.before_kernels()
        found = [
            index
            for index in range(start + 1, len(self._nodes))
            if len(self.shape(index)) > 1
            and None not in self.shape(index)
            and not self._jumps(index)
            and not self._followed(index)
        ]
        sizes: list[list[int]] = []
        for size, group in itertools.groupby(found, lambda i: self.shape(i)[:-1]):
            if sizes and math.prod(size) > math.prod(self.shape(sizes[-1][0])[:-1]):
                continue  # Padding.
            kept = list(group)
            while kept and self._opens_a_block(kept[-1]):
                kept.pop()
            sizes += [self._narrow(kept)] if kept else []
        return sizes

    def before_kernels(self) -> int:
        """The last operation that everything passes through before the first kernel."""
        first = next(i for i, node in enumerate(self._nodes) if _has_kernel(node))
        return max(index for index in range(first) if not self._jumps(index))

    def cut(self, places: Mapping[str, int]) -> keras.Model:
        """The model under the contract of `students`, made of the same layers.

        Args:
            places: Name of each representation, in order, to an operation that
                everything passes through.

        Raises:
            ValueError: If a layer works in two sections, or bears a section's name.
        """
        import keras

        network = self.network
        outputs, previous, x = {}, None, network.inputs[0]
        for name, index in places.items():
            made = self.tensors[index]
            if previous is None:
                x = made
            else:
                x = keras.Model(*_between(previous, made), name=name)(x)
            outputs[name], previous = x, made
        if previous is None:
            return keras.Model(network.inputs[0], {"logits": network.output})
        _, outputs["logits"] = _between(previous, network.output, x)
        self._check_apart(places)
        return keras.Model(network.inputs[0], outputs, name=network.name)

    def _check_apart(self, places):
        """Shared layers would be two layers once the model is opened again."""
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
        """Edges from before an operation to behind it: none where it can be cut."""
        return [(a, b) for a, b in self._edges if a < index < b]

    def _users(self, index):
        return [b for a, b in self._edges if a == index]

    def _givers(self, index):
        return [a for a, b in self._edges if b == index]

    def _follows(self, index):
        """Whether an operation only normalizes, rectifies or the like."""
        givers = self._givers(index)
        alone = len(givers) == 1 and self.shape(givers[0]) == self.shape(index)
        return alone and not _has_kernel(self._nodes[index])

    def _followed(self, index):
        users = self._users(index)
        return len(users) == 1 and self._follows(users[0])

    def _opens_a_block(self, index):
        while self._follows(index):
            (index,) = self._givers(index)
        layer = self._nodes[index].operation
        if set(getattr(layer, "kernel_size", ())) != {1}:
            return False
        (given,) = self._givers(index)
        same_size = self.shape(given)[:-1] == self.shape(index)[:-1]
        return same_size and self.shape(index)[-1] > 2 * self.shape(given)[-1]

    def _narrow(self, places):
        channels = self.shape(places[-1])[-1]
        return [index for index in places if self.shape(index)[-1] <= channels]


def names(count: int) -> list[str]:
    """What as many representations are called under the contract."""
    return ["stem", *(f"section{index}" for index in range(1, count))][:count]


def _between(given, made, x=None):
    """What lies between two tensors, once more, from `x` or a new input."""
    import keras

    if x is None:
        x = keras.Input(given.shape[1:], name="given")
    # Not called as a model, which would be a layer around the others.
    return x, keras.Model(given, made)._run_through_graph(x)


def _has_kernel(node) -> bool:
    """Whether it mixes positions or channels; one number a channel does not."""
    weights: Iterable = getattr(node.operation, "weights", ())
    return any(
        math.prod(weight.shape) > max(weight.shape, default=1) for weight in weights
    )
