"""Laws that hold for every network in `students.BUILDERS`."""

import itertools
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import students
from distill.measure import cost
from students import residual

NETWORKS = {
    "ds_cnn": students.DSCNN(width=4, blocks=2, kernel=(3, 2)),
    "lenet": students.LeNet(width_multiplier=0.5),
    "nin": students.NIN(width_multiplier=0.05),
    "nin_plain": students.NIN(width_multiplier=0.05, batch_norm=False),
    "resnet": students.ResNet(depth=14, width=4),
    "resnet_zero_pad": students.ResNet(depth=8, width=3, shortcut="zero_pad"),
    "resnet_pre": students.ResNet(depth=8, width=4, activation_order="pre"),
    "resnet_pre_zero_pad": students.ResNet(
        depth=8, width=3, shortcut="zero_pad", activation_order="pre"
    ),
    "resnext": students.ResNeXt(depth=11, width=2, cardinality=2, bottleneck_width=2),
    "resnext_basic": students.ResNeXt(
        depth=8, width=4, cardinality=2, bottleneck_width=2, block="basic"
    ),
    "wide_resnet": students.WideResNet(depth=10),
    "mobilenet": students.MobileNet(width_multiplier=0.25),
    "vdcnn": students.VDCNN(depth=9, width=3, embedding=4, k=2, units=5),
    "vdcnn_shortcut": students.VDCNN(depth=9, width=2, k=3, units=5, shortcut=True),
}
IMAGES = [name for name, options in NETWORKS.items() if "images" in options.takes]
SHAPE, LENGTH, CLASSES = (9, 8, 3), 21, 5
VOCABULARY = 7


def sizes(name):
    """What a network is built for."""
    text = (LENGTH,), CLASSES, VOCABULARY
    return (SHAPE, CLASSES) if name in IMAGES else text


def examples(name, count):
    rng = np.random.default_rng(0)
    if name in IMAGES:
        return rng.uniform(size=(count, *SHAPE)).astype("float32")
    return rng.integers(0, VOCABULARY, (count, LENGTH), "int32")


@pytest.fixture(scope="module")
def network():
    """Builds each network once."""
    built = {}

    def network(name):
        if name not in built:
            built[name] = NETWORKS[name].build(*sizes(name))
        return built[name]

    return network


def test_every_network_obeys_these_laws():
    # See test_keras_models, test_own_parts.
    foreign = {students.KerasApplication, students.KerasFile, students.OwnPython}
    laws = {type(options) for options in NETWORKS.values()}
    assert laws | foreign == set(students.BUILDERS.values())


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_are_those_of_the_built_network(name, network):
    output = network(name).output
    built = {key: tuple(tensor.shape[1:]) for key, tensor in output.items()}
    assert built.pop("logits") == (CLASSES,)
    assert built == NETWORKS[name].shapes(sizes(name)[0])
    sections = [f"section{index}" for index in range(1, len(built))]
    assert list(built) == ["stem", *sections]
    assert sections


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("size", [8, 64])
def test_every_image_of_8_to_64_pixels_has_shapes(name, size):
    for height, width, channels in NETWORKS[name].shapes((size, size, 1)).values():
        assert height == width >= 1
        assert channels >= 1


@pytest.mark.parametrize("name", NETWORKS)
def test_a_section_maps_one_representation_to_the_next(name, network):
    outputs = network(name)(examples(name, 2), training=False)
    names = [key for key in outputs if key != "logits"]
    for before, after in itertools.pairwise(names):
        section = network(name).get_layer(after)(outputs[before], training=False)
        np.testing.assert_allclose(section, outputs[after], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_no_two_variables_share_a_path(name, network):
    paths = [variable.path for variable in network(name).variables]
    assert len(set(paths)) == len(paths)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kernel_and_nothing_else_decays(name, network):
    kernels = [
        v for v in network(name).trainable_variables if v.path.endswith("kernel")
    ]
    expected = sum(5e-5 * np.sum(np.square(kernel)) for kernel in kernels)
    assert float(sum(network(name).losses)) == pytest.approx(expected, rel=1e-4)


def weighted_layers(network):
    return [
        layer
        for layer in network._flatten_layers()
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)
        and "shortcut" not in layer.name
    ]


@pytest.mark.parametrize("depth", [8, 14, 20])
def test_depth_counts_convolutions_and_the_head_without_shortcuts(depth):
    network = students.ResNet(depth=depth, width=4).build((8, 8, 1), 5)
    assert len(weighted_layers(network)) == depth


@pytest.mark.parametrize(("name", "layers"), [("lenet", 5), ("nin", 9)])
def test_networks_of_one_depth_have_it(name, layers, network):
    assert len(weighted_layers(network(name))) == layers


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet", {"depth": 9}, "`depth` must be 6n [+] 2, such as 8"),
        ("resnet", {"depth": 2}, "`depth`"),
        ("resnet", {"depth": 8, "width": 0}, "`width` must be at least 1"),
        ("resnet", {"depth": 8, "weight_decay": -1.0}, "`weight_decay` must be in"),
        ("lenet", {"width_multiplier": 0.0}, "`width_multiplier` must be positive"),
        ("nin", {"width_multiplier": -1.0}, "`width_multiplier` must be positive"),
        ("mobilenet", {"width_multiplier": 0.0}, "`width_multiplier` must be positive"),
        ("wide_resnet", {"depth": 8}, "`depth` must be 6n [+] 4, such as 10"),
        ("wide_resnet", {"depth": 10, "widen_factor": 0}, "`widen_factor` must be at"),
        ("resnext", {"depth": 21}, "`depth` must be 9n [+] 2, such as 20"),
        ("resnext", {"depth": 21, "block": "basic"}, "must be 6n [+] 2, such as 20"),
        (
            "resnext",
            {"depth": 20, "width": 12, "block": "basic"},
            "`width` must be a multiple of `cardinality` = 8",
        ),
        ("resnext", {"depth": 20, "width": 0}, "`width` must be at least 1"),
        ("resnext", {"depth": 20, "cardinality": 0}, "`cardinality` must be at least"),
        ("resnext", {"depth": 20, "bottleneck_width": 0}, "`bottleneck_width` must be"),
        ("ds_cnn", {"width": 0}, "`width` must be at least 1"),
        ("ds_cnn", {"blocks": 0}, "`blocks` must be at least 1"),
        ("ds_cnn", {"kernel": (3,)}, "`kernel` must be .time, frequency."),
        ("ds_cnn", {"dropout": 0.5}, "`dropout` must be in"),
        ("vdcnn", {"depth": 10}, "`depth` must be one of 9, 17, 29, 49. Received: 10"),
        ("vdcnn", {"depth": 9, "width": 0}, "`width` must be at least 1"),
        ("vdcnn", {"depth": 9, "embedding": 0}, "`embedding` must be at least 1"),
        ("vdcnn", {"depth": 9, "k": 0}, "`k` must be at least 1"),
        ("vdcnn", {"depth": 9, "units": 0}, "`units` must be at least 1"),
    ],
)
def test_what_cannot_be_built_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        students.BUILDERS[name](**options)


@pytest.mark.parametrize(
    ("options", "convolutions"),
    [
        (students.WideResNet(depth=16, widen_factor=2), 16),
        (students.ResNeXt(depth=20, width=2, cardinality=2, bottleneck_width=2), 22),
        (
            students.ResNeXt(depth=32, width=2, cardinality=2, block="basic"),
            33,  # The head is no convolution, two shortcuts are not counted.
        ),
        (students.ResNet(depth=8, width=2, activation_order="pre"), 9),
        (students.ResNet(depth=8, width=2, shortcut="zero_pad"), 7),
    ],
)
def test_depth_counts_as_the_paper_counts(options, convolutions):
    layers = options.build((8, 8, 1), 5)._flatten_layers()
    actual = [layer for layer in layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(actual) == convolutions


@pytest.mark.parametrize(
    ("network", "shape", "classes", "kernels", "macs"),
    [
        (students.ResNet(depth=8), (32, 32, 3), 10, 77_360, 12_501_632),
        (students.DSCNN(), (49, 10, 1), 12, 22_016, 2_656_768),
    ],
)
def test_two_have_the_kernels_of_the_benchmark(network, shape, classes, kernels, macs):
    """As the reference files of MLPerf Tiny, ic01 and kws01, have them."""
    cost_ = cost.count(network.build(shape, classes))
    assert (cost_.kernels, cost_.macs) == (kernels, macs)


def test_a_zero_padded_shortcut_is_the_identity_on_every_second_pixel():
    x = np.random.default_rng(0).uniform(size=(2, 5, 4, 3)).astype("float32")
    inputs = keras.Input((5, 4, 3))
    padded = residual.zero_pad(inputs, 6, 2, name="")
    expected = np.pad(x[:, ::2, ::2], [(0, 0)] * 3 + [(1, 2)])
    np.testing.assert_array_equal(keras.Model(inputs, padded)(x), expected)


@pytest.mark.parametrize("name", ["resnet_pre", "resnet_pre_zero_pad", "wide_resnet"])
def test_nothing_comes_after_the_sum_of_a_pre_activation_block(name, network):
    """Where the last block adds nothing, a section of one block is its shortcut."""
    section = network(name).get_layer("section1")
    last = [layer for layer in section.layers if layer.name.endswith("_2_conv")][-1]
    before = last.get_weights()
    last.set_weights([np.zeros_like(weight) for weight in before])
    x = np.random.default_rng(0).normal(size=(2, *section.input.shape[1:]))
    outputs = keras.ops.convert_to_numpy(section(x.astype("float32")))
    last.set_weights(before)
    assert (outputs < 0).any()


@pytest.mark.parametrize(
    ("name", "kernels"),
    [
        ("resnext", [(1, 1, 2, 4), (3, 3, 2, 4), (1, 1, 4, 8)]),
        ("resnext_basic", [(3, 3, 2, 4), (3, 3, 2, 4)]),
    ],
)
def test_groups_of_a_resnext_do_not_see_each_other(name, kernels, network):
    section = network(name).get_layer("section1")
    convolutions = [layer for layer in section.layers if "block1" in layer.name]
    actual = [
        tuple(layer.kernel.shape)
        for layer in convolutions
        if layer.name.endswith(("1_conv", "2_conv", "3_conv"))
    ]
    assert actual == kernels


@pytest.mark.parametrize(
    ("multiplier", "channels"),
    [
        (1.0, [32, 16, 24, 32, 64, 96, 160, 320]),
        (0.35, [16, 8, 8, 16, 24, 32, 56, 112]),
        (0.8, [24, 16, 24, 24, 48, 80, 128, 256]),
    ],
)
def test_mobilenet_has_the_channels_of_the_paper(multiplier, channels):
    shapes = students.MobileNet(width_multiplier=multiplier).shapes((32, 32, 3))
    assert [shape[-1] for shape in shapes.values()] == channels
    assert shapes["section7"][:2] == (4, 4)


# TF-MOT turns `tf.keras` into Keras 2 for a whole process: it gets one of its own.
CHILD = """
import json
import pathlib
import sys
import tempfile

import keras
import numpy as np
sys.path.insert(0, "tests/students")

from test_students import NETWORKS, examples, sizes

from distill.compress import convert
from distill.compress.quantize import tfmot
from distill.compress.twin import folding, twin
from distill.measure import interpreter
from distill.measure.facts import read_facts

rng = np.random.default_rng(0)
path = pathlib.Path(tempfile.mkdtemp()) / "model.tflite"


def file(model, variant):
    path.write_bytes(convert.to_tflite(model, variant))
    facts = read_facts(path)
    return interpreter.predict(path, inputs), facts


def has_kernel(layer):
    kind = type(layer).__name__
    return layer.weights and "BatchNorm" not in kind and kind != "Embedding"


def wrapped(model):
    layers = model._flatten_layers()
    return [layer for layer in layers if hasattr(layer, "_weight_vars")]


def difference(got):
    return float(abs(got - wanted).max() / abs(wanted).max())


for name, options in NETWORKS.items():
    inputs = examples(name, 5)
    student = options.build(*sizes(name))
    for variable in student.variables:
        variable.assign(variable + rng.uniform(-0.05, 0.05, variable.shape))
    wanted = keras.ops.convert_to_numpy(student(inputs, training=False)["logits"])
    copy = twin.to_tf_keras(student)
    written = folding.make_quantizable(copy)
    answers, facts = file(student, "float32")
    trained = tfmot.simulate(copy)
    said = {
        "twin": difference(copy(inputs, training=False).numpy()),
        "written": difference(written(inputs, training=False).numpy()),
        "float32": difference(answers),
        "ops": list(facts.ops),
        "batch": interpreter._accepts(path, inputs.shape),
        "kernels": len([layer for layer in written.layers if has_kernel(layer)]),
        "quantized": sum(len(layer._weight_vars) for layer in wrapped(trained)),
        "same": written is copy,
        "int8": file(trained, "int8")[1].float_ops,
    }
    print(json.dumps([name, said]))
"""


@pytest.fixture(scope="module")
def child():
    """Name of each network to what its twin and its files say."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        cwd=pathlib.Path(__file__).parents[2],
        env={**os.environ, "TF_USE_LEGACY_KERAS": "1", "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    return dict(json.loads(line) for line in lines if line.startswith("["))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_twin_answers_as_the_network(name, child):
    assert child[name]["twin"] <= 1e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_the_float32_file_answers_as_the_network(name, child):
    assert child[name]["float32"] <= 1e-5
    # A text becomes an image by a reshape, which binds the file to one at once.
    assert child[name]["batch"] == (name in IMAGES)
    assert not [op for op in child[name]["ops"] if "CUSTOM" in op]


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_written_anew_to_be_quantized_answers_as_the_network(name, child):
    assert child[name]["written"] <= 1e-5
    expected = {"resnet", "resnet_zero_pad", "nin", "mobilenet", "ds_cnn"}
    expected |= {"resnext", "resnext_basic"}
    assert child[name]["same"] == (name in expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kernel_learns_to_bear_eight_bits(name, child):
    assert child[name]["quantized"] == child[name]["kernels"] > 0
    assert child[name]["int8"] == []
