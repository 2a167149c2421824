"""The cost of the weights of a twin, and the choice of those that a budget leaves."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tf_keras

from distill.compress.base import prices, shares
from distill.compress.finishers import pruned
from distill.compress.prune import magnitude, projection, schedule
from distill.compress.twin import calls
from distill.measure import energy
from distill.measure.counting import uses
from distill.runtime import errors

_HALVINGS = 7  # Within which a share is found to a hundredth of itself.


def find_prices(
    model: tf_keras.Model, price: prices.Weights
) -> tuple[dict[str, float], float]:
    """The price of each weight that stays, by layer, and the cost of the network.

    Args:
        model: A functional tf_keras model.
        price: What a weight costs.

    Returns:
        Name of each layer to the price; and the cost without zeros.
    """
    layers = _find_layers(model)
    by_name = {name: price.of(layer) for name, layer in layers.items()}
    return by_name, price.total(layers.values())


def _find_layers(model):
    """Name of each layer of a functional model to its kernels and their uses."""
    found = dict[str, list[energy.Use]]()
    for node in calls.nodes(model):
        found.setdefault(node.layer.name, []).extend(
            uses.of_call(
                node.layer,
                node.keras_inputs[0].shape,
                tf.nest.flatten(node.outputs)[0].shape,
            )
        )
    return {
        layer.name: energy.Layer(
            tuple(tuple(x.shape) for x in magnitude.kernels(layer)),
            tuple(found.get(layer.name, ())),
        )
        for layer in model.layers
    }


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
        limit = part.limit
        self._keep, self._price = limit.keep, limit.price
        by_name, self._total = find_prices(model, self._price)
        self._items = [
            prices.Item(kernel.variable.shape, by_name[kernel.layer.name], kernel.axis)
            for kernel in kernels
        ]
        if not shares.fits(self._items, self._even_shares(limit.keep)[0]):
            least = shares.least_keep(self._items, self._total, self._price)
            raise errors.FinishError(
                f"pruned: no less than {least:.4f} of the {limit.counts} can be left. "
                f"Received: {limit.keep:.4f}"
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
        low, high = self._even_shares(keep)
        priced = [
            kernel._replace(cost=item.price)
            for kernel, item in zip(scored, self._items, strict=True)
        ]
        full_price = sum(kernel.cost * kernel.scores.size for kernel in priced)

        def take(share):
            return projection.keep_budget(priced, share * full_price, share)

        chosen = take(low)
        for _ in range(_HALVINGS if high > low else 0):
            middle = (low + high) / 2
            stays = take(middle)
            kept = [one.sum() for one in stays]
            if self._price.share_left(self._items, kept, self._total) <= keep:
                low, chosen = middle, stays
            else:
                high = middle
        return chosen

    def _even_shares(self, keep):
        return self._price.even_shares(self._items, self._total, keep)
