"""The model of symbols: integers that sum to one, and no cheaper table."""

import itertools

import numpy as np
import pytest

from distill.measure.codec import coder, kernel_bits, steps
from distill.measure.codec.planes import Plane

RNG = np.random.default_rng(0)


def counted(codes):
    symbols = codes.astype(np.int8).view(np.uint8)
    return np.bincount(symbols, minlength=256)


def drawn():
    """Codes of kernels: dense, with zeros, on few levels, of one value."""
    for spread, share in itertools.product((0.5, 5, 40), (0, 0.8, 0.98)):
        codes = np.clip(RNG.normal(0, spread, 5000), -127, 127).astype(np.int8)
        yield codes * (RNG.uniform(size=5000) >= share).astype(np.int8)
    yield RNG.choice([-90, -13, 0, 14, 77], 5000).astype(np.int8)
    yield np.full(300, -7, np.int8)


@pytest.mark.parametrize("codes", list(drawn()))
def test_a_table_sums_to_one_and_knows_every_symbol(codes):
    counts = counted(codes)
    frequencies = steps.fit(counts).frequencies
    assert frequencies.sum() == steps.TOTAL
    assert (frequencies[counts > 0] > 0).all()


@pytest.mark.parametrize("codes", list(drawn()))
def test_the_bits_of_a_kernel_are_those_of_its_words(codes):
    table = steps.fit(counted(codes))
    words = coder.encode([Plane(codes.view(np.uint8), table)])
    told = 8 * (len(words) + 1 + steps.RUN_BYTES * len(table.runs))
    assert abs(kernel_bits(codes.reshape(10, -1)) - told) <= 64
    assert kernel_bits(codes) >= steps.entropy(counted(codes))


def test_no_other_way_to_cut_is_cheaper():
    for _ in range(20):
        counts = RNG.geometric(0.02, 7) * RNG.integers(0, 2, 7)
        counts[-1] += 1
        bits = {}
        for inner in itertools.product((0, 1), repeat=6):
            edges = [0, *(i + 1 for i, cut in enumerate(inner) if cut), 7]
            sums = np.add.reduceat(counts, edges[:-1])
            shares = sums / np.diff(edges) / counts.sum()
            told = sums[sums > 0] @ -np.log2(shares[sums > 0])
            bits[tuple(edges)] = told + 8 * steps.RUN_BYTES * len(sums)
        found = np.cumsum([0, *(length for length, _ in steps.fit(counts).runs)])
        assert bits[tuple(found.tolist())] == pytest.approx(min(bits.values()))


def test_zeros_and_few_levels_are_worth_their_bits():
    bits = [kernel_bits(codes) for codes in drawn()]
    assert bits[0] > bits[1] > bits[2]
    assert bits[6] > bits[7] > bits[8]
    assert bits[9] == pytest.approx(5000 * np.log2(5), rel=0.03)
    assert bits[10] < 50
    assert kernel_bits(np.zeros((0, 3), np.int8)) == 0


def test_codes_of_more_than_eight_bits_are_refused():
    with pytest.raises(ValueError, match=r"from -128 to 127\. Received: 0 to 200"):
        kernel_bits(np.arange(201))


@pytest.mark.parametrize("runs", [(), ((256, 0),), ((200, 9), (57, 9))])
def test_a_table_of_nothing_or_too_much_is_refused(runs):
    with pytest.raises(ValueError, match="a table"):
        steps.Steps(runs)
