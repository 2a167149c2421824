"""MUNGE equals the loops of its paper, and its laws hold."""

import numpy as np
import pytest

from distill.data.synthetic import munge

COUNT, FEATURES = 40, 5
EXAMPLES = np.random.default_rng(0).normal(size=(COUNT, FEATURES)).astype("float32")
CATEGORICAL = np.array([False, True, False, False, True])
MIXED = np.where(CATEGORICAL, EXAMPLES.round(), EXAMPLES)


def distance(a, b, categorical):
    return sum(
        float(a[f] != b[f]) if categorical[f] else (float(a[f]) - float(b[f])) ** 2
        for f in range(FEATURES)
    )


def slow(examples, copies, swap_probability, variance, rng, categorical):
    """One number at a time, as the paper writes it."""
    whole = []
    for _ in range(copies):
        copy = [list(map(float, example)) for example in examples]
        coins = rng.random((COUNT, FEATURES))
        noise = rng.standard_normal((2, COUNT, FEATURES))
        for i in range(COUNT):
            others = [j for j in range(COUNT) if j != i]
            j = min(
                others, key=lambda j: distance(examples[i], examples[j], categorical)
            )
            for f in range(FEATURES):
                if coins[i, f] >= swap_probability:
                    continue
                mine, other = copy[i][f], copy[j][f]
                sd = 0 if categorical[f] else abs(mine - other) / variance
                copy[i][f] = other + sd * noise[0, i, f]
                copy[j][f] = mine + sd * noise[1, i, f]
        whole += copy
    return np.array(whole)


def make(examples=EXAMPLES, copies=2, p=0.4, s=1.5, seed=1, categorical=None):
    rng = np.random.default_rng(seed)
    return munge.munge(examples, copies, p, s, rng, categorical)


@pytest.mark.parametrize("categorical", [None, CATEGORICAL])
def test_munge_equals_the_loop_of_the_paper(categorical, monkeypatch):
    monkeypatch.setattr(munge, "BLOCK", 7 * COUNT)
    examples = EXAMPLES if categorical is None else MIXED
    kinds = np.zeros(FEATURES, bool) if categorical is None else categorical
    expected = slow(examples, 2, 0.4, 1.5, np.random.default_rng(1), kinds)
    mixed = make(examples, categorical=categorical)
    assert mixed.dtype == examples.dtype
    np.testing.assert_allclose(mixed, expected, rtol=1e-4, atol=1e-5)


def test_swap_probability_0_changes_nothing():
    np.testing.assert_array_equal(make(p=0.0, copies=3), np.tile(EXAMPLES, (3, 1)))


def test_the_given_examples_stay_as_they_are():
    before = EXAMPLES.copy()
    make()
    np.testing.assert_array_equal(EXAMPLES, before)


def test_a_copy_without_noise_is_a_permutation_of_values():
    mixed = make(copies=1, p=0.5, s=1e30)
    assert not np.array_equal(mixed, EXAMPLES)
    np.testing.assert_array_equal(np.sort(mixed, axis=0), np.sort(EXAMPLES, axis=0))


def test_a_category_is_never_a_new_one():
    mixed = make(MIXED, copies=5, p=0.5, categorical=CATEGORICAL)
    for feature in np.flatnonzero(CATEGORICAL):
        assert set(mixed[:, feature]) == set(MIXED[:, feature])
    assert not set(mixed[:, 0]) <= set(MIXED[:, 0])


def test_a_mixed_number_has_the_distribution_of_its_pair():
    """Noise within one deviation, at `variance` 1, stays within the pair's reach."""
    a, b = EXAMPLES[:20], EXAMPLES[20:]
    noise = np.random.default_rng(2).uniform(-1, 1, a.shape)
    swaps = np.random.default_rng(3).random(a.shape) < 0.5
    mixed = munge.mix(a, b, swaps, noise, 1.0)
    np.testing.assert_array_equal(mixed[~swaps], a[~swaps])
    assert (np.abs(mixed - b) <= np.abs(a - b) * 1.0001)[swaps].all()


def test_the_random_state_determines_the_result():
    np.testing.assert_array_equal(make(), make())
    assert not np.array_equal(make(), make(seed=2))
    halves = make(copies=2).reshape(2, COUNT, FEATURES)
    assert not np.array_equal(*halves)


def test_a_neighbour_is_another_one_even_far_from_the_origin():
    far = np.array([[1e6, 0], [1e6, 1e-3], [1e6, 5e-3], [1e6, 0]], "float64")
    assert list(munge.neighbours(far)) == [3, 0, 1, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p": -0.1}, "`swap_probability` must be in"),
        ({"p": 1.1}, "`swap_probability` must be in"),
        ({"s": 0.0}, "`variance` must be positive"),
        ({"copies": 0}, "`copies` must be at least 1"),
        ({"examples": EXAMPLES[:1]}, r"`examples` must be .* \(1, 5\)"),
        ({"examples": EXAMPLES[0]}, r"`examples` must be .* \(5,\)"),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        make(**change)
