"""What is said of a file is what is in it."""

import pathlib

import keras
import numpy as np
import pytest

from distill import export
from distill.compress import convert
from distill.measure import codec, cost, energy, interpreter, latency
from distill.measure.counting import uses
from distill.measure.end import End
from distill.measure.facts import packed_share, read_facts, read_kernels
from distill.runtime import versions

RNG = np.random.default_rng(0)
SHAPE = (6, 6, 2)
# conv 3x3x2x4 at 6x6, depthwise 3x3x4 at 3x3, dense 36x5.
KERNELS = {"conv": 72, "depthwise": 36, "dense": 180}
MACS = 72 * 36 + 36 * 9 + 180
BIASES = 4 + 4 + 5


def build():
    keras.utils.set_random_seed(0)
    images = keras.Input(SHAPE)
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(images)
    x = keras.layers.DepthwiseConv2D(3, 2, padding="same", activation="relu")(x)
    x = keras.layers.Dense(5)(keras.layers.Flatten()(x))
    network = keras.Model(images, {"logits": x})
    for variable in network.variables:
        values = RNG.uniform(0.1, 1, variable.shape)
        if "kernel" in variable.path:
            values.flat[: 3 * values.size // 4] = 0
        variable.assign(values)
    return network


@pytest.fixture(scope="module")
def network():
    return build()


@pytest.fixture(scope="module")
def files(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for variant in ("float32", "float16", "dynamic_int8", "pruned"):
        path = folder / f"{variant}.tflite"
        path.write_bytes(convert.to_tflite(network, variant))
    (folder / "int8.tflite").write_bytes(quantized(network))
    return folder


def quantized(network):
    """Full integers by calibration, without training."""
    import tensorflow as tf

    function = tf.function(lambda x: network(x)["logits"]).get_concrete_function(
        tf.TensorSpec((1, *SHAPE), tf.float32)
    )
    holder = tf.Module()
    holder.kept = function.variables
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [RNG.uniform(size=(1, *SHAPE)).astype("float32")] for _ in range(8)
    )
    return converter.convert()


@pytest.mark.parametrize("name", ["float32", "float16", "pruned", "int8"])
def test_counts_are_those_made_by_hand(name, files):
    facts = read_facts(files / f"{name}.tflite")
    assert facts.parameters == sum(KERNELS.values()) + BIASES
    assert facts.macs == MACS
    assert facts.sparsity == pytest.approx(0.75, abs=0.01)
    assert facts.bytes == (files / f"{name}.tflite").stat().st_size


def test_a_sparse_file_tells_of_its_kernels_what_a_dense_one_does(files):
    dense, sparse = (
        read_facts(files / f"{name}.tflite").kernels for name in ("float32", "pruned")
    )
    numbers = ("shape", "bits", "zeros", "distinct", "channel_distinct", "two_of_four")
    assert len(dense) == 2
    for one, other in zip(dense, sparse, strict=True):
        assert all(getattr(one, name) == getattr(other, name) for name in numbers)


def test_zeros_are_counted_and_not_supposed(network, files, tmp_path):
    dense = build()
    for variable in dense.variables:
        variable.assign(np.ones(variable.shape))
    path = tmp_path / "dense.tflite"
    path.write_bytes(convert.to_tflite(dense, "float32"))
    assert read_facts(path).sparsity == 0


def test_integers_alone_are_told_from_floats(files):
    assert read_facts(files / "int8.tflite").float_ops == ()
    floats = read_facts(files / "float32.tflite").float_ops
    assert {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"} <= set(floats)


def test_answers_of_the_whole_set_are_those_of_each_image(network, files):
    images = RNG.uniform(size=(interpreter.BATCH + 3, *SHAPE)).astype("float32")
    wanted = keras.ops.convert_to_numpy(network(images)["logits"])
    for name in ("float32", "pruned"):
        got = interpreter.predict(files / f"{name}.tflite", images)
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    alone = interpreter.predict(files / "int8.tflite", images[:1])
    together = interpreter.predict(files / "int8.tflite", images)
    np.testing.assert_allclose(together[:1], alone, atol=1e-5)


def test_latency_is_measured_as_asked(files):
    image = np.zeros((1, *SHAPE), "float32")
    paths = [files / f"{name}.tflite" for name in ("float32", "int8")]
    taken = interpreter.latencies(paths, image, threads=1)
    assert list(taken) == paths
    for one in taken.values():
        assert 0 < one["low"] <= one["median"] <= one["high"]
        assert one["runs"] >= latency.ROUNDS
        assert one["threads"] == 1
        assert one["machine"] == versions.machine() != ""


@pytest.mark.parametrize(
    "content", [b"", b"no model", b"\x1c\0\0\0TFL3" + b"\xff" * 64]
)
def test_a_file_that_is_none_is_refused_in_one_line(content, tmp_path):
    path = tmp_path / "bad.tflite"
    path.write_bytes(content)
    for ask in (read_facts, lambda p: interpreter.predict(p, np.zeros((1, *SHAPE)))):
        with pytest.raises(ValueError, match=r"bad\.tflite") as caught:
            ask(path)
        assert "\n" not in str(caught.value)


def test_images_of_another_shape_are_refused(files):
    with pytest.raises(ValueError, match=r"expected inputs \(6, 6, 2\)"):
        interpreter.predict(files / "float32.tflite", np.zeros((1, 5, 6, 2), "float32"))


def test_a_network_costs_what_its_file_costs(network, files):
    counted = cost.count(network)
    assert counted.macs == MACS
    assert counted.kernels == sum(KERNELS.values())
    assert counted.channels == BIASES
    assert counted.layers == 3
    assert cost.sparsity(network) == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize("name", ["float32", "float16", "pruned", "int8"])
def test_a_kernel_is_used_alike_in_the_network_and_in_its_files(network, files, name):
    found = read_facts(files / f"{name}.tflite")
    plain = [use._replace(zeros=0) for use in found.uses]
    layers = uses.of_network(network).values()
    assert plain == [use for layer in layers for use in layer.uses]
    # Three quarters are zero of what pruning cuts, none counted of the depthwise one.
    assert found.nonzero_macs == 18 * 36 + 36 * 9 + 45
    saved = 54 * (200 + 6 * 3 + 4 * 36) + 135 * (200 + 6 + 4)
    dense = energy.cost(plain, "energy")
    assert found.modelled_energy == dense - saved
    assert found.share_left("energy") == pytest.approx(1 - saved / dense)


def test_every_exported_file_takes_and_gives_floats(files):
    from ai_edge_litert import interpreter

    for path in sorted(pathlib.Path(files).glob("*.tflite")):
        model = interpreter.Interpreter(str(path))
        given, made = model.get_input_details()[0], model.get_output_details()[0]
        assert given["dtype"] == made["dtype"] == np.float32
        assert tuple(given["shape"]) == (1, *SHAPE)
        assert tuple(made["shape"]) == (1, 5)


def test_an_end_of_a_file_says_what_its_integers_stand_for():
    assert str(End("float32", (1, 8, 8, 1))) == "float32 8 x 8 x 1"
    low, high = (End("int8", (1, 3), 0.25, zero) for zero in (-128, 7))
    assert str(low) == "int8 3, 0.25 x (value + 128)"
    assert str(high) == "int8 3, 0.25 x (value - 7)"


def test_floats_become_the_integers_of_the_nearest_steps():
    details = {"quantization": (0.5, -3), "dtype": np.int8}
    given = np.array([0.0, 0.24, 0.25, -0.25, 1.0, 1e3, -1e3], "float32")
    made = interpreter.quantize(given, details)
    assert made.dtype == np.int8
    assert list(made) == [-3, -3, -2, -4, -1, 127, -128]  # Halves away from zero.
    ids = np.array([3], "int32")
    assert interpreter.quantize(ids, details) is ids


def test_the_export_command_writes_what_is_asked(network, tmp_path, capsys):
    network.save(tmp_path / "mine.keras")
    flags = [f"--model={tmp_path / 'mine.keras'}", "--formats", "float32", "float16"]
    assert export.main(flags) == 0
    made = {path.name for path in tmp_path.glob("*.tflite")}
    assert made == {"mine.float32.tflite", "mine.float16.tflite"}
    (tmp_path / "bad.keras").write_bytes(b"no model")
    assert export.main([f"--model={tmp_path / 'bad.keras'}"]) == 3
    assert "no whole .keras" in capsys.readouterr().err


def test_kernels_are_coded_only_for_who_asks(files, monkeypatch):
    coded = []
    monkeypatch.setattr(codec, "size", lambda *array: coded.append(array) or 2)
    facts = read_facts(files / "float32.tflite")
    assert not coded
    entries = sum(kernel.size for kernel in facts.kernels)
    assert facts.share_left("packed") == 16 * len(facts.kernels) / (32 * entries)
    assert [len(content) for content, _ in coded] == [4 * 72, 4 * 180]


@pytest.mark.parametrize("name", ["float32", "int8", "pruned"])
def test_kernels_alone_are_those_of_the_whole_and_nothing_is_packed(
    files, name, monkeypatch
):
    path = files / f"{name}.tflite"
    whole = read_facts(path)
    monkeypatch.delattr(codec, "pack")
    kernels = read_kernels(path.read_bytes())
    assert kernels == whole.kernels
    assert packed_share(kernels) == whole.share_left("packed")


def test_depthwise_kernels_are_no_part_of_the_sparsity(tmp_path):
    network = build()
    for variable in network.variables:
        if variable.path.startswith("depthwise") and variable.path.endswith("kernel"):
            variable.assign(np.ones(variable.shape))
    path = tmp_path / "whole.tflite"
    path.write_bytes(convert.to_tflite(network, "float32"))
    assert read_facts(path).sparsity == pytest.approx(0.75, abs=0.01)
    assert cost.sparsity(network) == pytest.approx(0.75, abs=0.01)
