"""The certificate is the formula of its source, and promises nothing by itself."""

import math

import numpy as np
import pytest

from distill.measure.codec import certificate
from distill.measure.codec.certificate import Certificate, allowed_bits, bound

KIB = 8 * 1024
ERRORS, SIZES = (0.0, 0.02, 0.3), (0, 500, 5_000, 50_000)


def catoni(error, bits, examples):
    """The formula of the source, one number at a time, at many temperatures."""
    found = []
    for step in range(20_000):
        log = step * (math.log(examples) + 5) / 20_000
        scale = math.exp(log) / examples
        tries = 2 + log / math.log(1 + 1e-4)
        nats = bits * math.log(2) - math.log(0.05) + 2 * math.log(tries)
        least = error + (1 + 1e-4) * math.exp(-log) * nats
        found.append((1 - math.exp(-scale * least)) / (1 - math.exp(-scale)))
    return min(1.0, *found)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("bits", SIZES)
@pytest.mark.parametrize("examples", [30, 1_437, 60_000])
def test_the_bound_is_the_formula_of_its_source(error, bits, examples):
    expected = catoni(error, bits, examples)
    assert bound(error, bits, examples) == pytest.approx(expected, abs=1e-5)


def test_published_numbers_come_out():
    # A MobileNet of 350 KiB on ImageNet, 35 % wrong in training: at most 96.5 %.
    assert bound(0.35, 350 * KIB, 1_281_167) == pytest.approx(0.965, abs=1e-3)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("examples", [300, 60_000])
def test_more_bits_or_fewer_examples_promise_less(error, examples):
    bounds = [bound(error, bits, examples) for bits in SIZES]
    fewer = [bound(error, bits, examples // 2) for bits in SIZES]
    assert bounds == sorted(bounds) and bounds[0] < bounds[1]
    assert all(a <= b for a, b in zip(bounds, fewer, strict=True))
    assert error < bounds[0] and bounds[-1] <= 1


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize("examples", [40, 5_000, 1_000_000])
def test_whoever_memorized_random_labels_has_no_certificate(classes, examples):
    # No code can be shorter: all labels can be read from the file.
    bits = examples * math.log2(classes)
    known = Certificate(0.0, examples, bits, guessing=1 - 1 / classes)
    assert known.vacuous
    assert known.bound >= 1 - 1 / classes
    # The same examples, with a rule in a twentieth of the bits.
    if examples > 1000:
        assert not Certificate(0.0, examples, bits / 20, 1 - 1 / classes).vacuous


@pytest.mark.parametrize("error", [0.0, 0.1])
def test_a_file_of_the_allowed_size_is_the_largest_with_a_certificate(error):
    bits = allowed_bits(error, 10_000, 0.9)
    assert bound(error, bits, 10_000) == pytest.approx(0.9, abs=1e-9)
    size = Certificate(error, 10_000, 1e9, 0.9).allowed_bytes
    assert not Certificate(error, 10_000, 8 * size, 0.9).vacuous
    assert Certificate(error, 10_000, 8 * (size + 1), 0.9).vacuous


def test_few_or_misunderstood_examples_allow_no_file():
    assert Certificate(0.0, 10, 100.0, 0.9).allowed_bytes == 0
    assert Certificate(0.9, 60_000, 100.0, 0.9).allowed_bytes == 0


def test_what_is_certain_is_in_nineteen_of_twenty_samples():
    # A rule of 0 bits that errs on 20 %: its bound on samples, without exception here.
    errors = np.random.default_rng(0).binomial(500, 0.2, 300) / 500
    broken = np.mean([bound(error, 0, 500) < 0.2 for error in errors])
    assert broken <= certificate.RISK
