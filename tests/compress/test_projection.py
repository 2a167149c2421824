"""What stays when weights go: the best for their cost, within any budget."""

import typing

import numpy as np
import pytest

from distill.compress.base import prices, shares
from distill.compress.prune import projection
from distill.measure import energy

Kernel = projection.Kernel
RNG = np.random.default_rng(0)


def best(scores, costs, budget):
    """The most that a whole budget buys, by dynamic programming."""
    worth = np.zeros(budget + 1)
    for score, cost in zip(scores, costs.astype(int), strict=True):
        with_it = np.append(np.full(cost, -np.inf), worth[: budget + 1 - cost] + score)
        worth = np.maximum(worth, with_it)
    return worth[-1]


@pytest.mark.parametrize("budget", [0, 3, 6, 11])
def test_in_a_layer_greedy_is_exact(budget):
    scores = RNG.uniform(size=12)
    taken = projection.fill(scores, np.ones(12), budget)
    assert scores[taken].sum() == pytest.approx(best(scores, np.ones(12), budget))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_where_costs_differ_greedy_is_within_a_percent_of_exact(seed, share):
    rng = np.random.default_rng(seed)
    scores, costs = rng.normal(size=60) ** 2, np.repeat([1.0, 4.0, 9.0], 20)
    budget = int(share * costs.sum())
    taken = projection.fill(scores, costs, budget)
    assert costs[taken].sum() <= budget
    assert scores[taken].sum() >= 0.99 * best(scores, costs, budget)


def test_what_no_longer_fits_is_passed_over():
    taken = projection.fill(np.array([9.0, 8.0, 1.0]), np.array([2.0, 2.0, 1.0]), 3)
    assert taken.tolist() == [True, False, True]


def kernels(seed, alive=1.0):
    rng = np.random.default_rng(seed)
    shapes = [(3, 3, 1, 8), (3, 3, 8, 16), (16, 10)]
    scale = rng.uniform(0.01, 1, 3)
    found = []
    for shape, size, cost in zip(shapes, scale, (64.0, 16.0, 1.0), strict=True):
        scores = size * rng.uniform(size=shape)
        scores[rng.uniform(size=shape) > alive] = projection.GONE
        found.append(Kernel(scores, cost))
    return found


def cost_of(all_kernels, kept):
    pairs = zip(all_kernels, kept, strict=True)
    return sum(kernel.cost * stays.sum() for kernel, stays in pairs)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
def test_a_budget_is_never_exceeded_and_hardly_wasted(seed, keep):
    made = kernels(seed)
    budget = keep * cost_of(made, [np.ones(k.scores.shape) for k in made])
    spent = cost_of(made, projection.keep_budget(made, budget, keep))
    assert spent <= budget
    assert spent > budget - max(kernel.cost for kernel in made)


@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("keep", [0.05, 0.2])
def test_no_kernel_starves_and_no_channel_dies(axis, keep):
    """Scores of one kernel are so small that a bare threshold would empty it."""
    small, large = RNG.uniform(size=(2, 3, 3, 8, 8))
    made = [Kernel(1e-9 * small, axis=axis), Kernel(large, axis=axis)]
    kept = projection.keep_budget(made, keep * 2 * small.size, keep)
    assert sum(stays.sum() for stays in kept) == int(keep * 2 * small.size)
    for stays in kept:
        assert stays.sum() >= max(8, 0.3 * keep * stays.size)
        assert np.moveaxis(stays, axis, -1).any((0, 1, 2)).all()


def test_what_has_gone_never_comes_back():
    made = kernels(0, alive=0.6)
    kept = projection.keep_budget(made, 1e9, 0.9)
    for kernel, stays in zip(made, kept, strict=True):
        assert (stays == (kernel.scores > projection.GONE)).all()
        alone = projection.keep_share(kernel, 0.99)
        assert not (alone & (kernel.scores == projection.GONE)).any()


@pytest.mark.parametrize(("share", "count"), [(0.3, 3), (0.1, 1), (0.01, 1), (0.99, 9)])
def test_a_share_of_a_kernel_is_rounded_down_to_one_weight_at_least(share, count):
    scores = np.arange(10.0).reshape(5, 2)
    stays = projection.keep_share(Kernel(scores), share)
    assert scores[stays].tolist() == list(range(10 - count, 10))


def test_no_less_can_be_left_than_the_floors_and_what_is_whole():
    """Of two kernels and 72 weights that stay whole, at prices 1 and 4."""
    found = [prices.Item((3, 3, 8, 16), 1), prices.Item((16, 10), 4)]
    total = 1152 + 4 * 160 + 72
    least = (16 + 4 * 10 + 72) / total
    price = prices.PRICES["macs"]
    assert shares.least_keep(found, total, price) == pytest.approx(least)
    for keep, fits in ((0.05, False), (0.09, True)):
        even = price.even_shares(found, total, keep)[0]
        assert even == pytest.approx((keep * total - 72) / (total - 72))
        assert shares.fits(found, even) is fits


def test_a_floor_is_a_part_of_the_even_share_and_a_weight_a_channel():
    assert shares.least_kept((3, 3, 8, 16), 0.5) == 173  # 0.3 of half of 1,152.
    assert shares.least_kept((3, 3, 8, 16), 0.01) == 16
    assert shares.least_kept((3, 3, 8, 16), 0.01, axis=-2) == 8


USES = [
    energy.Use((3, 3, 8, 160), places, input_size=8, output_size=160)
    for places in (1, 64, 900)
]
LAYERS = {str(use.places): energy.Layer((use.shape,), (use,)) for use in USES}


@pytest.mark.parametrize("counts", typing.get_args(prices.Counts))
def test_an_even_share_of_each_kernel_leaves_the_wanted_share_of_the_cost(counts):
    price = prices.PRICES[counts]
    items, total = shares.list_items(LAYERS, ["64"], price)
    keep = (1 + shares.least_keep(items, total, price)) / 2
    even, most = price.even_shares(items, total, keep)
    kept = [even * item.size for item in items]
    assert 0 < even <= most <= 1
    assert price.share_left(items, kept, total) == pytest.approx(keep)
    assert price.name == counts


@pytest.mark.parametrize("counts", ["weights", "macs", "energy"])
@pytest.mark.parametrize("whole", [(), ["900"], ["1", "64"]])
def test_no_scores_leave_fewer_zeros_than_the_shapes_say(counts, whole):
    price = prices.PRICES[counts]
    items, total = shares.list_items(LAYERS, whole, price)
    keep = (1 + shares.least_keep(items, total, price)) / 2
    budget = shares.Budget(counts=counts, keep=keep)
    fewest = shares.fewest_zeros(LAYERS, whole, budget)
    even, _ = price.even_shares(items, total, keep)

    def zeros(weight):
        """Of scores that are random, and higher where weights cost much or little."""
        kernels = [
            Kernel(RNG.random(item.shape) * item.price**weight, item.price)
            for item in items
        ]
        spent = even * prices.full_price(items)
        stays = projection.keep_budget(kernels, spent, even)
        return sum((~one).sum() for one in stays)

    assert all(zeros(weight) >= fewest - 1e-6 for weight in (0, 1, 2))
    assert zeros(-9) - fewest < 1 + 1e-6  # All but the rest of a weight.
