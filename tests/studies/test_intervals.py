"""Laws of the statistics, held to published numbers and to NumPy."""

import numpy as np
import pytest

from distill.studies import intervals
from distill.studies.compare import report

# Student's own example: hours of sleep that ten patients gained by two drugs.
FIRST = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SECOND = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def test_the_difference_is_that_of_students_example():
    actual = intervals.paired_difference(SECOND, FIRST)
    assert actual["mean"] == pytest.approx(1.58)
    assert actual["sd"] == pytest.approx(1.229995, abs=1e-6)
    # As in R: t.test(extra ~ group, data = sleep, paired = TRUE).
    assert actual["low"] == pytest.approx(0.7001142, abs=1e-6)
    assert actual["high"] == pytest.approx(2.4598858, abs=1e-6)
    assert actual["clear_of_zero"] is True
    assert actual["n"] == 10


def test_the_quantiles_are_those_of_the_tables():
    # t at 97.5 % for 1, 4 and 29 degrees of freedom.
    for count, quantile in ((2, 12.706), (5, 2.776), (30, 2.045)):
        values = np.random.default_rng(count).normal(size=count)
        actual = intervals.paired_difference(values, np.zeros(count))
        half = quantile * np.std(values, ddof=1) / np.sqrt(count)
        assert (actual["high"] - actual["low"]) / 2 == pytest.approx(half, rel=1e-3)
        assert (actual["high"] + actual["low"]) / 2 == pytest.approx(values.mean())


def test_nineteen_of_twenty_intervals_hold_the_truth():
    draws = np.random.default_rng(0).normal(1.0, 2.0, size=(2000, 4))
    covered = [
        actual["low"] <= 1.0 <= actual["high"]
        for actual in (intervals.paired_difference(d, np.zeros(4)) for d in draws)
    ]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_pairing_takes_out_what_both_share():
    shared = np.array([-20.0, 0.0, 20.0])
    actual = intervals.paired_difference(shared + np.array([1.0, 1.1, 0.9]), shared)
    assert actual["clear_of_zero"] is True
    assert actual["sd"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("values", "clear"),
    [([1, 1.1], True), ([-1, -1.1], True), ([1, -0.5], False), ([0, 0], False)],
)
def test_clear_means_that_zero_is_outside(values, clear):
    assert intervals.paired_difference(values, [0, 0])["clear_of_zero"] is clear


@pytest.mark.parametrize("count", [2, 3, 30])
@pytest.mark.parametrize("apart", [10, -3, 0])
def test_equal_differences_show_no_spread_and_are_clear_of_nothing(count, apart):
    # Answers that are right, of 899, in percent: rounding makes differences unequal.
    right = 850 + np.arange(count)
    ours, theirs = 100 * (right + apart) / 899, 100 * right / 899
    actual = intervals.paired_difference(ours, theirs)
    assert actual["mean"] == pytest.approx(100 * apart / 899)
    assert actual["low"] is None and actual["high"] is None
    assert actual["clear_of_zero"] is False
    assert report.verdict(actual) == intervals.format_interval(actual)
    nearly = intervals.paired_difference(ours + 0.01 * theirs, theirs)
    assert nearly["low"] < nearly["mean"] < nearly["high"]


def test_tables_drawn_anew_from_one_table_have_the_corrected_interval():
    ours = np.random.default_rng(0).normal(1, 1, 5)
    plain, corrected = (
        intervals.paired_difference(ours, 0 * ours, test_to_train=ratio)
        for ratio in (0, 9020 / 10000)
    )
    # Nadeau and Bengio: the variance is 1/n + test/train of the sample's, not 1/n.
    expected = np.sqrt((1 / 5 + 0.902) / (1 / 5))
    for end in ("low", "high"):
        apart = (each[end] - each["mean"] for each in (corrected, plain))
        assert next(apart) / next(apart) == pytest.approx(expected)


def test_the_corrected_interval_holds_the_truth_where_the_plain_one_does_not():
    rng, covered = np.random.default_rng(1), {0.0: [], 1.0: []}
    for _ in range(400):
        # A table of 200 differences, whose mean is learned and measured in halves:
        # what a seed sees is the mean of one half, and the truth is 0.
        table = rng.normal(size=200)
        means = [rng.permutation(table)[:100].mean() for _ in range(10)]
        for ratio, outcomes in covered.items():
            actual = intervals.paired_difference(
                means, np.zeros(10), test_to_train=ratio
            )
            outcomes.append(not actual["clear_of_zero"])
    assert np.mean(covered[0.0]) < 0.75
    assert np.mean(covered[1.0]) > 0.93


def test_one_seed_has_neither_spread_nor_interval():
    actual = intervals.paired_difference([3.0], [1.0])
    assert actual["mean"] == 2.0
    assert (
        actual["sd"]
        is actual["low"]
        is actual["high"]
        is actual["clear_of_zero"]
        is None
    )


def test_unequal_numbers_of_seeds_are_no_pairs():
    with pytest.raises(ValueError):
        intervals.paired_difference([1.0, 2.0], [1.0])
