"""Shares of weights that pruning leaves: by layer, in a budget, and at least."""

import dataclasses
import fnmatch
import math
from collections.abc import Container, Mapping, Sequence

from distill.compress.base import prices
from distill.measure import energy
from distill.runtime.errors import check

FLOOR = 0.3  # Every kernel keeps at least this part of its even share.
_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """The share of zeros for some of the layers.

    Attributes:
        layers: Pattern of names as in a shell: `head*`, `section[23]_*`.
        sparsity: Final share of zeros in their kernels; 0 means no pruning.

    Raises:
        ValueError: If the share is out of its range.
    """

    layers: str
    sparsity: float

    def __post_init__(self):
        """Refuses a share outside [0, 1)."""
        if not 0 <= self.sparsity < 1:
            raise ValueError(f"`sparsity` must be in [0, 1). Received: {self.sparsity}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget:
    """The total cost of the weights that are not zero.

    Attributes:
        counts: What each costs: 1 (`weights`); the multiply-accumulates in which it
            takes part (`macs`); energy, modelled for an accelerator and not
            measured, including that of activations (`energy`); or the bits that the
            kernels take in a packed file, see `python -m distill.pack` (`packed`).
        keep: The cost with zeros as a share of the network's cost without them. With
            `counts: packed`, the packed length of the kernels as a share of four bytes
            for each of their weights.

    Raises:
        ValueError: If the share is out of its range.
    """

    counts: prices.Counts = "macs"
    keep: float

    def __post_init__(self):
        """Refuses a share outside (0, 1), and one that needs no zeros."""
        check(0 < self.keep < 1, "keep", "in (0, 1)", self.keep)
        largest = self.price.largest
        rule = f"at most {largest} with `counts: {self.counts}`, "
        rule += "since kernels without zeros take little more"
        check(self.keep <= largest, "keep", rule, self.keep)

    @property
    def price(self) -> prices.Weights:
        """What a weight that stays costs."""
        return prices.PRICES[self.counts]

    def density(
        self, layers: Mapping[str, energy.Layer], whole: Container[str], size: int
    ) -> float:
        """The share of weights that are left: approximate, or at most.

        Args:
            layers: As for `list_items`.
            whole: As for `list_items`.
            size: Number of weights of all kernels.
        """
        density = self.price.density(self.keep)
        if density is None:
            return 1 - fewest_zeros(layers, whole, self) / size
        return density


def share_of(layer: str, default: float, rules: Sequence[Rule]) -> float:
    """The share of zeros for a layer: that of the last rule that matches its name."""
    shares = [
        rule.sparsity for rule in rules if fnmatch.fnmatchcase(layer, rule.layers)
    ]
    return [default, *shares][-1]


def check_shares(rules: Sequence[Rule], allowed: Container[float], text: str) -> None:
    """Refuses rules with a share that is not allowed.

    Args:
        rules: The rules.
        allowed: The allowed shares.
        text: The allowed shares, in words.

    Raises:
        ValueError: Names the rule.
    """
    for index, rule in enumerate(rules):
        name = f"rules[{index}].sparsity"
        check(rule.sparsity in allowed, name, text, rule.sparsity)


def check_rules(rules: Sequence[Rule], layers: Sequence[str]) -> None:
    """Refuses a rule that matches no layer.

    Raises:
        ValueError: Names the rule.
    """
    for index, rule in enumerate(rules):
        if not fnmatch.filter(layers, rule.layers):
            raise ValueError(
                f"`rules[{index}].layers` must match a layer of the student: "
                f"{', '.join(layers)}. Received: {rule.layers!r}"
            )


def least_kept(shape: Sequence[int], keep: float, axis: int = -1) -> int:
    """Number of weights that a kernel keeps in any case.

    One threshold for a whole network can empty a kernel. So each keeps `FLOOR` of its
    even share, and one weight for each output channel.

    Args:
        shape: The kernel's shape.
        keep: The even share: what every kernel would keep if all kept the same share.
        axis: The axis of output channels.
    """
    floor = math.ceil(FLOOR * keep * math.prod(shape) - _ROUNDING)
    return max(floor, shape[axis])


def list_items(
    layers: Mapping[str, energy.Layer], whole: Container[str], price: prices.Weights
) -> tuple[list[prices.Item], float]:
    """The kernels that may be cut, and the cost of all kernels without zeros.

    Args:
        layers: Name of each layer to its kernels and their uses.
        whole: Names of the layers that are not pruned. Depthwise kernels never are.
        price: What a weight costs.
    """
    cut = [layer for name, layer in layers.items() if name not in whole]
    items = [item for layer in cut for item in price.items(layer)]
    return items, price.total(layers.values())


def least_keep_of(
    layers: Mapping[str, energy.Layer], whole: Container[str], budget: Budget
) -> float:
    """The smallest possible share of the cost, if a budget is too small; else 0.

    Args:
        layers: As for `list_items`.
        whole: As for `list_items`.
        budget: The wanted share of the cost.

    Returns:
        The smallest possible share, rounded up to thousandths.
    """
    price = budget.price
    items, total = list_items(layers, whole, price)
    if not items:
        return 1.0
    if fits(items, price.even_shares(items, total, budget.keep)[0]):
        return 0.0
    return math.ceil(1000 * least_keep(items, total, price)) / 1000


def fits(items: Sequence[prices.Item], even: float) -> bool:
    """Whether an even share pays for what every kernel keeps; see `least_kept`."""
    return _floor_price(items, even) <= even * prices.full_price(items) * (
        1 + _ROUNDING
    )


def least_keep(
    items: Sequence[prices.Item], total: float, price: prices.Weights
) -> float:
    """The smallest share of the cost that can be left.

    Args:
        items: The kernels that may be cut.
        total: The cost of the network without zeros.
        price: What a weight costs.
    """
    variable, even = prices.full_price(items), 0.0
    for _ in range(50):  # Converges: floors rise only `FLOOR` times as fast as `even`.
        even = _floor_price(items, even) / variable
    kept = [even * item.size for item in items]
    return price.share_left(items, kept, total)


def fewest_zeros(
    layers: Mapping[str, energy.Layer], whole: Container[str], budget: Budget
) -> float:
    """The least number of zeros within a budget, wherever they are.

    That is if only the floors stay where weights cost much, and all else where they
    cost little.

    Args:
        layers: As for `list_items`.
        whole: As for `list_items`.
        budget: The share of the cost that may be left.
    """
    items, total = list_items(layers, whole, budget.price)
    if not items:
        return 0.0
    even, _ = budget.price.even_shares(items, total, budget.keep)
    rest, zeros = even * prices.full_price(items) - _floor_price(items, even), 0.0
    for item in sorted(items, key=lambda item: item.price):
        free = item.size - least_kept(item.shape, even, item.axis)
        more = min(free, max(0.0, rest) / item.price)
        rest -= more * item.price
        zeros += free - more
    return zeros


def _floor_price(items, even):
    return sum(item.price * least_kept(item.shape, even, item.axis) for item in items)
