"""A layer of either Keras -> the kernels in it."""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import Any


@dataclasses.dataclass(frozen=True)
class Kernel:
    """Weights that multiply what a layer is given.

    Attributes:
        layer: That owns it: of layers inside each other, the innermost.
        variable: The weights.
    """

    layer: Any
    variable: Any

    @property
    def size(self) -> int:
        """Entries, zeros too."""
        return math.prod(self.variable.shape)

    @property
    def is_depthwise(self) -> bool:
        """Whether it is used on each channel alone."""
        kind = type(self.layer).__name__
        return "DepthwiseConv" in kind or _name(self.variable) == "depthwise_kernel"

    @property
    def is_recurrent(self) -> bool:
        """Whether it multiplies the state that a step before has left."""
        return _name(self.variable) == "recurrent_kernel"

    @property
    def outputs(self) -> int:
        """Channels that it makes."""
        *_, before, last = self.variable.shape
        if self.is_depthwise:
            return before * last
        if hasattr(self.layer, "equation"):  # Of `EinsumDense`.
            terms, made = self.layer.equation.split("->")
            letters = zip(terms.split(",")[1], self.variable.shape, strict=True)
            return math.prod(size for letter, size in letters if letter in made)
        return before if "Transpose" in type(self.layer).__name__ else last


def find(layers: Iterable[Any]) -> Iterator[Kernel]:
    """Every kernel of built layers, and of the layers inside them, each once.

    A standard layer calls it so; of a class of a user's own, whose names say nothing,
    all matrices that train are kernels.
    """
    owners = {
        id(weight): Kernel(inner, weight)
        for layer in layers
        for inner in layer._flatten_layers()
        for weight in inner.weights
    }
    return (one for one in owners.values() if _is_kernel(one))


def is_standard(layer: Any) -> bool:
    """Whether what a layer or operation computes is Keras' own code."""
    kinds = type(layer).__mro__
    owner = next((kind for kind in kinds if "call" in vars(kind)), kinds[0])
    return owner.__module__.split(".")[0] in ("keras", "tf_keras")


def _is_kernel(found):
    weight = found.variable
    if is_standard(found.layer):
        return _name(weight).endswith("kernel")
    return weight.trainable and len(weight.shape) > 1


def _name(weight):
    """As the layer calls it; tf_keras puts its path before and a number behind."""
    return weight.name.rpartition("/")[-1].partition(":")[0]
