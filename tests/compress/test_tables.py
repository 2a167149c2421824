"""Kernels as tables: shorter, for TFLite Micro alone, and equal to the last bit."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from keras import layers as L

from distill.compress import convert, finishers
from distill.compress.finishers import tabled
from distill.compress.quantize import tables
from distill.measure import interpreter, lut
from distill.measure.facts import read_facts
from distill.measure.graph import Graph
from distill.measure.micro import trial
from distill.report.charts import pareto
from distill.report.firmware import ops
from distill.run.evaluation import record
from distill.runtime import errors, packages
from distill.runtime.trust import provenance

RNG = np.random.default_rng(0)
IMAGES = RNG.random((16, 7, 6, 2), np.float32)

needs_micro = pytest.mark.skipif(
    bool(packages.missing(packages.MICRO)), reason="TFLite Micro is not installed"
)


def snapped(kernel, levels):
    """A kernel of few different weights; of a convolution, in each channel."""
    steps = np.linspace(-1, 1, levels)
    # Not multiples of each other: the integers differ between channels, too.
    shift = RNG.uniform(0, 0.5, kernel.shape[-1] if kernel.ndim == 4 else 1)
    return (steps[RNG.integers(0, levels, kernel.shape)] + shift).astype(np.float32)


@functools.cache
def made(levels):
    """A file in eight bits whose kernels have so many different weights."""
    keras.utils.set_random_seed(0)
    image = keras.Input((7, 6, 2))
    x = L.Conv2D(24, 3, activation="relu", padding="same")(image)
    x = L.DepthwiseConv2D(3, activation="relu")(x)
    x = L.Conv2D(48, 3, activation="relu")(x)
    network = keras.Model(image, {"logits": L.Dense(40)(L.Flatten()(x))})
    for layer in network.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            bias = RNG.normal(0, 0.1, bias.shape)
            layer.set_weights([snapped(kernel, levels), bias])
    return convert.to_tflite(network, "int8", IMAGES, "int8")


@pytest.fixture(scope="module", params=[2, 16, 30])
def both(request, tmp_path_factory):
    """A file, and the same with tables."""
    folder = tmp_path_factory.mktemp(f"levels{request.param}")
    paths = folder / "plain.tflite", folder / "tables.tflite"
    plain = made(request.param)
    for path, content in zip(paths, (plain, tables.compress(plain)), strict=True):
        path.write_bytes(content)
    return paths


@needs_micro
def test_a_file_with_tables_is_shorter_and_equal(both):
    plain, short = (path.read_bytes() for path in both)
    assert len(short) < 0.92 * len(plain)
    found = tables.compare(plain, short, IMAGES)
    assert (found["max"], found["mean"], found["examples"]) == (0, 0, 16)
    assert found["scale"] > 20
    names = [Graph(short).full_name(op) for op in Graph(short).ops]
    assert names.count("CUSTOM TFLM_DECODE") == len(tables.choose(plain)) > 1
    assert "AddDecode" in ops.adders(Graph(short))


@needs_micro
def test_what_is_read_of_it_is_that_of_the_plain_file(both):
    plain, short = map(read_facts, both)
    assert "CUSTOM" in short.ops
    assert lut.is_in(both[1]) and not lut.is_in(both[0])
    own = ("bytes", "gzip_bytes", "packed_bytes", "ops")
    same = {name: getattr(plain, name) for name in own}
    assert dataclasses.replace(short, **same) == plain


@needs_micro
def test_litert_runs_what_the_tables_hold(both):
    answers = [interpreter.predict(path, IMAGES) for path in both]
    np.testing.assert_array_equal(*answers)
    models = [
        {"name": path.stem, "latency_ms": None, "latency_all_threads_ms": None}
        for path in both
    ]
    paths = {path.stem: path for path in both}
    split = type("Split", (), {"floats": lambda self: IMAGES})()
    record.put_latencies(models, paths, split)
    assert models[0]["latency_ms"] and models[1]["latency_ms"] is None


@needs_micro
def test_its_origin_leaves_it_as_it_runs(both, tmp_path):
    stamped = tmp_path / "stamped.tflite"
    stamped.write_bytes(provenance.stamp(both[1].read_bytes(), {"model": "this"}))
    assert provenance.read(stamped) == {"model": "this"}
    found = tables.compare(both[0].read_bytes(), stamped.read_bytes(), IMAGES)
    assert found["max"] == 0


@needs_micro
def test_each_table_follows_the_scales_of_its_kernel(both):
    model = schema.ModelT.InitFromPackedBuf(both[0].read_bytes(), 0)
    for chosen in tables.choose(both[0].read_bytes()):
        tensor = model.subgraphs[0].tensors[chosen["tensor"]]
        table = chosen["compression"][0]["lut"]
        if len(tensor.quantization.scale) == 1:
            assert table["per_tensor"] is None
        else:
            axis = tensor.quantization.quantizedDimension
            assert table["per_channel"] == {"axis": axis}


def spoil(content, change):
    """The file with a change of the first table's bytes."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    op = next(
        op
        for op in graph.operators
        if model.operatorCodes[op.opcodeIndex].customCode == lut.OP
    )
    table, kernel = graph.tensors[op.inputs[1]], graph.tensors[op.outputs[0]]
    described = np.array(model.buffers[table.buffer].data)
    change(described, kernel)
    # A buffer of its own: the package lets equal tables share theirs.
    model.buffers.append(schema.BufferT(data=described))
    table.buffer = len(model.buffers) - 1
    return provenance.packed(model, len(content))


@needs_micro
def test_another_entry_is_found_before_the_file_is_kept(both, monkeypatch):
    plain, short = (path.read_bytes() for path in both)

    def change(described, _):
        described[16] ^= 64

    wrong = spoil(short, change)
    found = tables.compare(plain, wrong, IMAGES)
    assert tabled.ClusteredInt8Lut().conversion_breaches(found)
    monkeypatch.setattr(tables, "_pack", lambda *given: wrong)
    with pytest.raises(errors.FinishError, match="other kernels"):
        tables.compress(plain)


def set_byte(index, value):
    def change(described, _):
        described[index] = value

    return change


def set_shape(*shape):
    def change(_, kernel):
        kernel.shape = list(shape)

    return change


def set_type(_, kernel):
    kernel.type = schema.TensorType.FLOAT32


@functools.cache
def compressed():
    return tables.compress(made(16))


@needs_micro
@pytest.mark.parametrize(
    "change",
    [
        set_byte(0, 1),
        set_byte(1, 2),
        set_byte(4, 2),
        set_byte(5, 0xF0),  # No bits.
        set_byte(5, 0xA4),  # An axis that the kernel does not have.
        set_byte(6, 0),
        set_byte(6, 1),
        set_shape(1 << 15, 1 << 15, 1 << 15),
        set_shape(24, 3, 3, 1 << 9),
        set_type,
    ],
)
def test_tables_that_cannot_be_read_are_refused(change, tmp_path):
    content = spoil(compressed(), change)
    with pytest.raises(ValueError, match="tables of kernels that cannot be read"):
        lut.expand(content)
    path = tmp_path / "wrong.tflite"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="tables of kernels"):
        read_facts(path)
    with pytest.raises(ValueError, match="tables of kernels"):
        interpreter.predict(path, IMAGES)


def test_a_file_without_gain_stays_and_breaks_the_promise(tmp_path):
    plain = made(250)
    assert tables.compress(plain) == plain
    path = tmp_path / "plain.tflite"
    path.write_bytes(plain)
    parts = {
        name: finishers.FINISHERS[name]() for name in tabled.ClusteredInt8Lut.needs
    }
    parts["clustered"] = dataclasses.replace(parts["clustered"], clusters=256)
    parts["clustered_int8"] = dataclasses.replace(parts["clustered_int8"], io="int8")
    (line,) = tabled.ClusteredInt8Lut().breaches(read_facts(path), parts, None)
    assert line == "no kernel is shorter as a table: as `clustered_int8`"


@needs_micro
def test_a_file_that_does_not_run_there_is_named(monkeypatch):
    monkeypatch.setattr(trial, "run", lambda *given: trial.Trial((), "it is too large"))
    with pytest.raises(errors.FinishError, match=r"does not run .* it is too large"):
        tables.make(made(16), IMAGES)


@needs_micro
def test_what_the_package_says_is_said():
    with pytest.raises(errors.FinishError, match=r"package makes no tables: .*9999"):
        tables._pack(
            made(16),
            [
                {
                    "subgraph": 0,
                    "tensor": 9999,
                    "compression": [{"lut": {"index_bitwidth": 4, "per_tensor": None}}],
                }
            ],
        )


def test_a_search_tries_it_only_by_name():
    assert "clustered_int8" in finishers.SEARCHED
    assert not {name for name in finishers.SEARCHED if name.endswith("_lut")}


def test_it_is_the_smallest_file_only_where_it_is_known_to_run():
    plain = {"name": "student.a", "bytes": 9, "ops": {"ADD": 1}, "failed": []}
    both = [plain, {**plain, "name": "student.b", "bytes": 5, "ops": {"CUSTOM": 1}}]
    both = [{**model, "validation_accuracy": 90.0} for model in both]
    assert pareto.smallest(both) is both[0]
    ran = [{**model, "micro": {"reason": None}} for model in both]
    assert pareto.smallest(ran) is ran[1]
