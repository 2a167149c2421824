"""The cost of the weights of a twin: their number, multiply-accumulates or energy."""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tf_keras

from distill.compress.base import lengths, shares
from distill.compress.finishers import pruned
from distill.compress.prune import magnitude, projection, schedule
from distill.compress.twin import calls
from distill.measure import energy
from distill.measure.counting import uses
from distill.runtime import errors

_HALVINGS = 7  # Within which a share is found to a hundredth of itself.


def find_uses(model: tf_keras.Model) -> list[tuple[str, energy.Use]]:
    """Every use of a kernel in a functional model, with the name of its layer."""
    return [
        (node.layer.name, use)
        for node in calls.nodes(model)
        for use in uses.of_call(
            node.layer,
            node.keras_inputs[0].shape,
            tf.nest.flatten(node.outputs)[0].shape,
        )
    ]


def find_prices(
    model: tf_keras.Model, counts: shares.Counts
) -> tuple[dict[str, float], float]:
    """The price of each weight that stays, by layer, and the cost of the network.

    Args:
        model: A functional tf_keras model.
        counts: What a weight costs.

    Returns:
        Name of each layer to the price; and the cost without zeros.
    """
    if counts in shares.OF_ANY:
        sizes = {
            layer.name: sum(math.prod(x.shape) for x in magnitude.kernels(layer))
            for layer in model.layers
        }
        return dict.fromkeys(sizes, 1), sum(sizes.values())
    found, prices = find_uses(model), dict[str, float]()
    for name, use in found:
        if not use.depthwise:
            prices[name] = prices.get(name, 0) + use.per_weight(counts)
    return prices, energy.cost([use for _, use in found], counts, dense=True)


class Ledger:
    """Chooses the weights of all kernels within one budget.

    Args:
        model: The twin.
        kernels: Its kernels that are pruned.
        part: The finisher with the options.

    Raises:
        FinishError: If what every kernel keeps in any case costs more.
    """

    def __init__(
        self,
        model: tf_keras.Model,
        kernels: Sequence[schedule.Kernel],
        part: pruned.Pruned,
    ):
        prices, self._total = find_prices(model, part.counts)
        self._items = [
            shares.Item(kernel.variable.shape, prices[kernel.layer.name], kernel.axis)
            for kernel in kernels
        ]
        self._keep, self._counts = part.keep, part.counts
        if not shares.fits(self._items, self._even_share(part.keep)):
            least = shares.least_keep(self._items, self._total, part.counts)
            raise errors.FinishError(
                f"pruned: no less than {least:.4f} of the {part.counts} can be left. "
                f"Received: {part.keep:.4f}"
            )

    def choose(
        self, scored: Sequence[projection.Kernel], remaining: float
    ) -> list[np.ndarray]:
        """True where a weight stays, for each kernel.

        Args:
            scored: The kernels with the scores of their weights.
            remaining: See `schedule.remaining_cut`.
        """
        keep = self._keep + (1 - self._keep) * remaining
        even = self._even_share(keep)
        priced = [
            kernel._replace(cost=item.price)
            for kernel, item in zip(scored, self._items, strict=True)
        ]
        full_price = sum(kernel.cost * kernel.scores.size for kernel in priced)

        def take(share):
            return projection.keep_budget(priced, share * full_price, share)

        return (
            self._bisect(take, even, keep) if self._counts == "packed" else take(even)
        )

    def _bisect(self, take, low, keep):
        """The choice of most weights whose kernels, packed, keep a share."""
        chosen = take(low)  # Nothing is longer than the same share of each kernel.
        high = min(1.0, 32 * keep / lengths.VALUE)  # Were positions free.
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            stays = take(middle)
            kept = [one.sum() for one in stays]
            sizes = [one.size for one in stays]
            if lengths.share_left(sizes, kept, round(self._total)) <= keep:
                low, chosen = middle, stays
            else:
                high = middle
        return chosen

    def _even_share(self, keep):
        return shares.even_share(self._items, self._total, self._counts, keep)
