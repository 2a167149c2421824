"""What is said of a kernel holds of its numbers, however a file stores them."""

import types

import numpy as np
import pytest

from distill.measure.kernel import describe, stored_arrays, to_dense, unpack

RNG = np.random.default_rng(0)


def test_four_bits_are_numbers_with_a_sign():
    numbers = RNG.permutation(np.arange(-8, 8))
    packed = (numbers[::2] & 15) | ((numbers[1::2] & 15) << 4)
    np.testing.assert_array_equal(unpack(packed.astype(np.uint8)), numbers)


def level(size=0, segments=None, indices=None):
    return types.SimpleNamespace(
        denseSize=size,
        arraySegments=segments and types.SimpleNamespace(values=segments),
        arrayIndices=None if indices is None else types.SimpleNamespace(values=indices),
    )


def test_rows_that_are_stored_sparse_get_their_zeros_back():
    sparsity = types.SimpleNamespace(
        traversalOrder=[0, 1],
        blockMap=None,
        dimMetadata=[level(2), level(segments=[0, 2, 3], indices=[0, 3, 1])],
    )
    got = to_dense(np.array([5.0, 6.0, 7.0]), sparsity, (2, 4))
    np.testing.assert_array_equal(got, [[5, 0, 0, 6], [0, 7, 0, 0]])


def test_blocks_that_are_stored_sparse_get_their_zeros_back():
    """Of a (2, 4) matrix, blocks of (1, 2): the second of row 0, the first of row 1."""
    sparsity = types.SimpleNamespace(
        traversalOrder=[0, 1, 2],
        blockMap=[1],
        dimMetadata=[level(2), level(segments=[0, 1, 2], indices=[1, 0]), level(2)],
    )
    got = to_dense(np.array([1, 2, 3, 4]), sparsity, (2, 4))
    np.testing.assert_array_equal(got, [[0, 0, 1, 2], [3, 4, 0, 0]])


def test_blocks_of_rows_and_columns_come_back_in_place():
    """Of a (4, 4) matrix, blocks of (2, 2), the last one alone stored."""
    sparsity = types.SimpleNamespace(
        traversalOrder=[0, 1, 2, 3],
        blockMap=[0, 1],
        dimMetadata=[
            level(2),
            level(segments=[0, 0, 1], indices=[1]),
            level(2),
            level(2),
        ],
    )
    got = to_dense(np.array([1, 2, 3, 4]), sparsity, (4, 4))
    np.testing.assert_array_equal(got[2:, 2:], [[1, 2], [3, 4]])
    assert np.count_nonzero(got) == 4


def test_different_weights_are_counted_whole_and_by_channel():
    values = np.array([[[[0, 1, 2, 2]]], [[[2, 3, 3, 3]]]], np.int8)
    kernel = describe("net/quant_a/Conv2D;net/quant_a/Quant", values, 8)
    assert (kernel.distinct, kernel.channel_distinct) == (4, 3)
    assert (kernel.zeros, kernel.size, kernel.bits) == (1, 8, 8)
    assert kernel.layer == "a"


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        ([0, 0, 1, 2, 3, 0, 0, 4], True),
        ([0, 1, 2, 3, 0, 0, 0, 0], False),
        ([1, 0, 0, 2, 3, 0], True),  # Behind the end is zero.
        ([1, 0, 0, 2, 3, 4], True),
        ([1, 2, 3], False),
    ],
)
def test_two_of_four_is_a_matter_of_inputs_in_fours(row, kept):
    values = np.array(row, np.float32).reshape(1, 1, 1, -1)
    assert describe("", values, 32).two_of_four is kept


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("net/stem_conv/Conv2D", "stem_conv"),
        ("net/r/Relu;net/n/FusedBatchNormV3;net/stem_conv/Conv2D1", "stem_conv"),
        ("net_1/s_1/stem_conv_1/convolution", "stem_conv_1"),
        ("net/quant_head/MatMul;net/quant_head/LastValueQuant/Fake", "head"),
        ("StatefulPartitionedCall:01", ""),
    ],
)
def test_a_kernel_is_named_for_its_layer_or_not_at_all(name, layer):
    assert describe(name, np.ones((1, 1)), 32).layer == layer


def packed_bits(content, sparsity):
    stored = stored_arrays(content, 32, sparsity)
    return describe("", np.ones((1, 1000)), 32, stored).packed_bits


def test_indices_of_a_sparse_kernel_are_packed_too():
    """Noise in 32 bits cannot be packed; indices below 8 take three bits."""
    noise = RNG.integers(0, 256, 4000, np.uint8).tobytes()
    indices = RNG.integers(0, 8, 1000).astype(np.uint8)
    assert packed_bits(noise, None) == 8 * 4000
    sparse = types.SimpleNamespace(dimMetadata=[level(4), level(8, [0, 1000], indices)])
    segments = 8 * 16  # Two numbers.
    bits = packed_bits(noise, sparse) - 8 * 4000 - segments
    assert 2990 < bits < 3100
    assert packed_bits(bytes(4000), None) < 200
