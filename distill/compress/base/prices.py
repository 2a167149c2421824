"""What the weights that pruning leaves cost, by each count of a budget."""

import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from distill.compress.base import lengths
from distill.measure import energy

Counts = Literal["weights", "macs", "energy", "packed"]

_MANY = 10**6  # Weights of a kernel whose tables take next to nothing.


class Item(NamedTuple):
    """A kernel among those that share a budget.

    Attributes:
        shape: The kernel's shape.
        price: Cost of each weight that stays.
        axis: The axis of output channels.
    """

    shape: Sequence[int]
    price: float
    axis: int = -1

    @property
    def size(self) -> int:
        """Number of weights, including zeros."""
        return math.prod(self.shape)


class Weights:
    """Each weight costs as much as any other: 1.

    Attributes:
        name: The value of `counts`.
        what: What costs, in words: after a share.
        is_alike: Whether a weight costs the same in all layers, of any class.
        largest: The largest share that needs zeros.
        is_exact: Whether it follows from which weights are zero: else the file says it.
    """

    name: Counts = "weights"
    what = "weights"
    is_alike = True
    largest = 1.0
    is_exact = True

    def of(self, layer: energy.Layer) -> float:
        """The cost of each weight that stays in a layer."""
        return 1

    def items(self, layer: energy.Layer) -> list[Item]:
        """The kernels of a layer that may be cut."""
        return [Item(shape, 1) for shape in layer.kernels]

    def total(self, layers: Iterable[energy.Layer]) -> float:
        """The cost of a network without zeros, including what pruning does not change.

        Args:
            layers: All layers with kernels.
        """
        return sum(math.prod(shape) for layer in layers for shape in layer.kernels)

    def share_left(
        self, items: Sequence[Item], kept: Sequence[float], total: float
    ) -> float:
        """The cost with zeros as a share of that without.

        Args:
            items: The kernels that may be cut.
            kept: Number of weights that stay in each.
            total: See `total`.
        """
        left = sum(item.price * count for item, count in zip(items, kept, strict=True))
        return (total - full_price(items) + left) / total

    def even_shares(
        self, items: Sequence[Item], total: float, keep: float
    ) -> tuple[float, float]:
        """The share of its weights that each kernel keeps, if all keep the same share.

        Args:
            items: As for `share_left`.
            total: See `total`.
            keep: The largest share of the cost that may be left.

        Returns:
            It, and what no more weights can be, however they are spread.
        """
        variable = full_price(items)
        even = (keep * total - (total - variable)) / variable
        return even, even

    def density(self, keep: float) -> float | None:
        """The approximate share of weights that a share of the cost leaves.

        None if that depends on which weights become zero.
        """
        return keep


class Uses(Weights):
    """A weight costs as often as it is used, in one unit of `energy.cost`."""

    is_alike = False

    def __init__(self, counts: energy.Counts, what: str):
        self.name, self._counts, self.what = counts, counts, what

    def of(self, layer):
        """See `Weights`; the sum over all calls of the layer."""
        uses = [use for use in layer.uses if not use.depthwise]
        return sum(use.per_weight(self._counts) for use in uses)

    def items(self, layer):
        """See `Weights`; one for a layer, which may be called several times."""
        shapes = [use.shape for use in layer.uses if not use.depthwise]
        return [Item(shape, self.of(layer)) for shape in shapes[:1]]

    def total(self, layers):
        """See `Weights`; with activations and depthwise kernels."""
        uses = [use for layer in layers for use in layer.uses]
        return energy.cost(uses, self._counts, dense=True)

    def density(self, keep):
        """See `Weights`: a weight costs more in one layer than in another."""
        return None


class Packed(Weights):
    """Weights cost what all kernels take in a packed file; see `lengths`."""

    name = "packed"
    what = "float32 of the kernels, packed,"
    largest = lengths.LARGEST
    is_exact = False

    def share_left(self, items, kept, total):
        """See `Weights`; the approximate length as a share of the float32."""
        return lengths.share_left([item.size for item in items], kept, round(total))

    def even_shares(self, items, total, keep):
        """See `Weights`; nothing is longer than the same share of each kernel."""
        sizes = [item.size for item in items]
        free = min(1.0, 32 * keep / lengths.VALUE)  # Were positions free.
        return lengths.even_share(sizes, round(total), keep), free

    def density(self, keep):
        """See `Weights`; that of a large kernel."""
        return lengths.even_share([_MANY], _MANY, keep)


PRICES: dict[Counts, Weights] = {
    price.name: price
    for price in (
        Weights(),
        Uses("macs", "multiply-accumulates with weights that are not zero"),
        Uses("energy", "modelled energy"),
        Packed(),
    )
}


def full_price(items: Iterable[Item]) -> float:
    """The cost of all kernels that may be cut, without zeros."""
    return sum(item.price * item.size for item in items)
