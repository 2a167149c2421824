"""Finds the kernels of layers of both Keras versions."""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import Any


@dataclasses.dataclass(frozen=True)
class Kernel:
    """Weights that multiply a layer's inputs.

    Attributes:
        layer: The layer that owns it; of nested layers, the innermost.
        variable: The weights.
    """

    layer: Any
    variable: Any

    @property
    def size(self) -> int:
        """Number of entries, including zeros."""
        return math.prod(self.variable.shape)

    @property
    def is_depthwise(self) -> bool:
        """Whether it is applied to each channel separately."""
        kind = type(self.layer).__name__
        return "DepthwiseConv" in kind or _name(self.variable) == "depthwise_kernel"

    @property
    def is_recurrent(self) -> bool:
        """Whether it multiplies the state of the previous step."""
        return _name(self.variable) == "recurrent_kernel"

    @property
    def outputs(self) -> int:
        """Number of output channels."""
        *_, before, last = self.variable.shape
        if self.is_depthwise:
            return before * last
        if hasattr(self.layer, "equation"):  # Of `EinsumDense`.
            terms, output = self.layer.equation.split("->")
            letters = zip(terms.split(",")[1], self.variable.shape, strict=True)
            return math.prod(size for letter, size in letters if letter in output)
        # Kernels of transposed convolutions are `(..., out, in)`.
        return before if "Transpose" in type(self.layer).__name__ else last


def find(layers: Iterable[Any]) -> Iterator[Kernel]:
    """Every kernel of built layers and of the layers inside them, each once.

    In a standard layer, names of weights tell kernels. In a custom class they may not,
    so every trainable matrix counts as a kernel.
    """
    # A later owner replaces an earlier one: inner layers come after outer ones.
    owners = {
        id(weight): Kernel(inner, weight)
        for layer in layers
        for inner in layer._flatten_layers()
        for weight in inner.weights
    }
    return (one for one in owners.values() if _is_kernel(one))


def is_standard(layer: Any) -> bool:
    """Whether the computation of a layer or operation is Keras' own code."""
    kinds = type(layer).__mro__
    owner = next((kind for kind in kinds if "call" in vars(kind)), kinds[0])
    return owner.__module__.split(".")[0] in ("keras", "tf_keras")


def class_names(layer: Any) -> set[str]:
    """Names of the class of a layer or operation, and of those it is derived from."""
    # On JAX every layer has a base of the backend's that is called JaxLayer, as is the
    # layer that runs a function of JAX.
    return {
        kind.__name__
        for kind in type(layer).__mro__
        if not kind.__module__.startswith("keras.src.backend.")
    }


def _is_kernel(kernel):
    weight = kernel.variable
    if is_standard(kernel.layer):
        return _name(weight).endswith("kernel")
    return weight.trainable and len(weight.shape) > 1


def _name(weight):
    """A weight's own name; tf_keras puts a path before it and a number behind it."""
    return weight.name.rpartition("/")[-1].partition(":")[0]
