"""A file says what it was made of, and is no other file for it."""

import json

import flatbuffers
import keras
import numpy as np
import pytest

from distill import inspect
from distill.compress import convert
from distill.measure import facts, interpreter
from distill.measure.facts import read_facts
from distill.measure.graph import Graph
from distill.runtime import hashes, tflite
from distill.runtime.trust import provenance

ORIGIN = {
    "model": "student.float32",
    "config": {"seed": 0, "data": {"name": "dígits"}},
    "versions": {"keras": "3"},
    "data": "0f" * 32,
    "kind": "images",
    "classes": [f"kind{index}" for index in range(25)],
    "weights": {"student": "1e" * 32},
    "validation": {"examples": 7, "accuracy": 42.0},
}


def network():
    keras.utils.set_random_seed(0)
    images = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(4, 3, activation="relu")(images)
    return keras.Model(images, keras.layers.Dense(3)(keras.layers.Flatten()(x)))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Each variant as it was converted, and stamped."""
    folder, result = tmp_path_factory.mktemp("files"), {}
    model = network()
    kernel = model.layers[1].kernel  # Zeros, so that the pruned file is sparse.
    kernel.assign(np.where(np.arange(4) > 0, 0, np.asarray(kernel)))
    for variant in ("float32", "dynamic_int8", "pruned"):
        content = convert.to_tflite(model, variant)
        result[variant] = folder / f"{variant}.tflite", folder / f"{variant}.s.tflite"
        result[variant][0].write_bytes(content)
        result[variant][1].write_bytes(provenance.stamp(content, ORIGIN))
    return result


@pytest.mark.parametrize("variant", ["float32", "dynamic_int8", "pruned"])
def test_a_stamped_file_holds_and_answers_the_same(files, variant):
    plain, stamped = files[variant]
    images = np.random.default_rng(0).uniform(size=(5, 6, 6, 2)).astype("float32")
    answers = [interpreter.predict(path, images) for path in (plain, stamped)]
    np.testing.assert_array_equal(*answers)
    before, after = map(facts.read_facts, (plain, stamped))
    assert (before.ops, before.parameters) == (after.ops, after.parameters)
    assert before.sparsity == after.sparsity
    text = len(json.dumps(ORIGIN))
    assert before.bytes < after.bytes <= before.bytes + text + 1500


def test_it_reads_back_and_other_files_say_nothing(files):
    plain, stamped = files["float32"]
    assert provenance.read(stamped) == ORIGIN
    assert provenance.read(plain) is None


def test_the_same_origin_makes_the_same_bytes_and_replaces_itself(files):
    plain, stamped = (path.read_bytes() for path in files["float32"])
    assert provenance.stamp(plain, dict(reversed(ORIGIN.items()))) == stamped
    again = provenance.stamp(stamped, {**ORIGIN, "model": "other"})
    path = files["float32"][0].with_name("again.tflite")
    path.write_bytes(again)
    assert provenance.read(path)["model"] == "other"
    assert provenance.stamp(again, ORIGIN) == stamped


def test_every_buffer_stands_where_the_schema_wants_it(files):
    content = files["float32"][1].read_bytes()
    model = provenance.schema.ModelT.InitFromPackedBuf(content, 0)
    filled = [buffer.data for buffer in model.buffers if buffer.data is not None]
    whole = np.frombuffer(content, np.uint8)
    for data in filled:
        at = [
            start
            for start in range(0, len(whole) - len(data) + 1, 16)
            if np.array_equal(whole[start : start + len(data)], data)
        ]
        assert at, len(data)


def test_constants_behind_the_flatbuffer_stay_in_the_file(files):
    plain = files["float32"][0]
    model, schema = tflite.unpack(plain.read_bytes()), provenance.schema
    place = max(range(len(model.buffers)), key=lambda at: _size(model.buffers[at]))
    kernel, start = bytes(model.buffers[place].data), 16_384
    outside = schema.BufferT(offset=start, size=len(kernel))
    model.buffers[place] = outside
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    content = bytes(builder.Output()).ljust(start, b"\0") + kernel
    path = plain.with_name("outside.tflite")
    path.write_bytes(provenance.stamp(content, ORIGIN))
    inputs = np.random.default_rng(0).random((3, 6, 6, 2), np.float32)
    logits = [interpreter.predict(each, inputs) for each in (plain, path)]
    np.testing.assert_array_equal(*logits)
    assert Graph(content).is_constant(_tensor_of(model, place))
    with pytest.raises(ValueError, match="ends behind the file"):
        tflite.unpack(content[:-1])


def _size(buffer):
    return 0 if buffer.data is None else len(buffer.data)


def _tensor_of(model, place):
    tensors = model.subgraphs[0].tensors
    return next(i for i, tensor in enumerate(tensors) if tensor.buffer == place)


def test_other_metadata_of_the_file_stay(files):
    names = [
        [provenance._name(entry) for entry in model.metadata]
        for path in files["float32"]
        for model in [provenance.schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)]
    ]
    assert names[1] == [*names[0], "distill"]


def test_weights_hash_alike_where_they_are_alike():
    one, other = network(), network()
    assert hashes.weights_hash(one) == hashes.weights_hash(other)
    other.layers[1].bias.assign_add(np.full(4, 1e-6))
    assert hashes.weights_hash(one) != hashes.weights_hash(other)


def test_the_command_says_what_the_file_says(files, capfd):
    assert inspect.main([str(files["float32"][1]), "--json"]) == 0
    actual = json.loads(capfd.readouterr().out)
    assert actual["origin"] == ORIGIN
    assert actual["ops"]["CONV_2D"] == 1
    facts = read_facts(files["float32"][1])
    assert actual["modelled_energy"] == facts.modelled_energy > 0
    kernels = [(kernel.layer, kernel.packed_bits) for kernel in facts.kernels]
    assert [(x["layer"], x["packed_bits"]) for x in actual["kernels"]] == kernels
    assert [end["dtype"] for end in (*actual["takes"], *actual["gives"])] == [
        "float32"
    ] * 2


def test_its_lines_are_for_people(files, capfd):
    assert inspect.main([str(files["float32"][1])], limited=True) == 0
    output = capfd.readouterr().out
    assert "42.00 % of 7 examples" in output
    energy = read_facts(files["float32"][1]).modelled_energy
    assert f"energy, modelled    {energy:,.0f}: modelled for" in output
    assert "seed: 0" in output
    assert "float32 6 x 6 x 2" in output and "float32 3" in output
    assert "images, numbers in [0, 1]" in output
    assert "25 classes" in output and "kind19, ..." in output and "kind20" not in output
    assert inspect.main([str(files["float32"][0])], limited=True) == 0
    assert "does not say what it was made of" in capfd.readouterr().out


@pytest.mark.parametrize("content", [b"", b"\x1c\0\0\0TFL3" + b"\xff" * 64])
def test_a_damaged_file_is_one_line(content, tmp_path, capfd):
    (tmp_path / "bad.tflite").write_bytes(content)
    assert inspect.main([str(tmp_path / "bad.tflite")]) == 2
    assert "TFLite file" in capfd.readouterr().err
    assert inspect.main([str(tmp_path / "none.tflite")]) == 2
