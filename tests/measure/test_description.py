"""A description counts every number of a file once, and no more than it must."""

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from distill.measure import codec
from distill.measure.codec import description

KINDS = schema.TensorType
RNG = np.random.default_rng(0)


def tensor(buffer, shape, kind, scale=(), zero=()):
    made = schema.TensorT()
    made.shape, made.type, made.buffer, made.name = list(shape), kind, buffer, b"x"
    if len(scale):
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale = np.asarray(scale, np.float32)
        made.quantization.zeroPoint = np.asarray(zero or [0] * len(scale), np.int64)
    return made


def file(tensors, buffers):
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.operatorCodes, model.buffers = 3, [], [schema.BufferT()]
    for content in buffers:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(content.tobytes(), np.uint8)
        model.buffers.append(buffer)
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [], [], []
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def bits(tensors, *buffers):
    return codec.description_bits(file(tensors, buffers))


CODES = RNG.choice([-127, 0, 127], (8, 3, 3, 16), p=[0.1, 0.8, 0.1]).astype(np.int8)
BIAS = RNG.integers(-(2**30), 2**30, 8).astype(np.int32)
SCALES = np.exp(RNG.normal(0, 1, 8)).astype(np.float32)


def test_a_kernel_takes_the_bits_of_its_code():
    found = bits([tensor(1, CODES.shape, KINDS.INT8)], CODES)
    assert found == pytest.approx(codec.kernel_bits(CODES), abs=description._FORM)


def test_scales_and_biases_are_counted_and_what_follows_from_them_is_not():
    kernel = tensor(1, CODES.shape, KINDS.INT8)
    scaled = tensor(1, CODES.shape, KINDS.INT8, SCALES)
    plain = bits([kernel], CODES)
    assert 8 * 20 <= bits([scaled], CODES) - plain <= 8 * 32 + description._FORM
    # Its scale is that of the input times that of the kernel.
    bias = tensor(2, BIAS.shape, KINDS.INT32, SCALES)
    assert bits([kernel, bias], CODES, BIAS) - plain == pytest.approx(
        8 * 32, abs=2 * description._FORM
    )


def test_an_activation_takes_a_scale_and_a_zero_point():
    kernel = tensor(1, CODES.shape, KINDS.INT8)
    activation = tensor(0, (1, 8), KINDS.INT8, [0.0123], [-7])
    more = bits([kernel, activation], CODES) - bits([kernel], CODES)
    assert more == pytest.approx(32 + 8, abs=2 * description._FORM)


def test_a_buffer_of_two_tensors_is_described_twice():
    kernel = tensor(1, CODES.shape, KINDS.INT8)
    one, two = bits([kernel], CODES), bits([kernel, kernel], CODES)
    assert two - one == pytest.approx(description.array_bits(CODES.tobytes(), 1))


def test_scales_of_sixteen_bits_take_no_more_than_these():
    rough = (SCALES.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    exact, rough = SCALES.astype("<f4").tobytes(), rough.astype("<f4").tobytes()
    assert description.array_bits(rough, 4) <= 8 * 16 + 72  # Two tables of zeros.
    assert description.array_bits(exact, 4) > 8 * 22


def test_what_a_sparse_tensor_needs_is_not_guessed():
    kernel = tensor(1, CODES.shape, KINDS.INT8)
    kernel.sparsity = schema.SparsityParametersT()
    with pytest.raises(ValueError, match="stored sparse"):
        bits([kernel], CODES)
