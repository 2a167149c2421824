"""Laws that hold for every network in `students.BUILDERS`."""

import itertools

import keras
import numpy as np
import pytest

import students

NETWORKS = {
    "lenet": students.LeNet(width_multiplier=0.5),
    "nin": students.NIN(width_multiplier=0.05),
    "nin_plain": students.NIN(width_multiplier=0.05, batch_norm=False),
    "resnet": students.ResNet(depth=14, width=4),
    "resnet_zero_pad": students.ResNet(depth=8, width=3, shortcut="zero_pad"),
    "resnet_pre": students.ResNet(depth=14, width=4, activation_order="pre"),
    "resnet_pre_zero_pad": students.ResNet(
        depth=8, width=3, shortcut="zero_pad", activation_order="pre"
    ),
    "resnext": students.ResNeXt(depth=20, width=2, cardinality=2, bottleneck_width=2),
    "wide_resnet": students.WideResNet(depth=10),
    "mobilenet": students.MobileNet(width_multiplier=0.25),
}
SHAPE, CLASSES = (9, 8, 3), 5


@pytest.fixture(scope="module")
def network():
    """Builds each network once."""
    built = {}

    def network(name):
        if name not in built:
            built[name] = NETWORKS[name].build(SHAPE, CLASSES)
        return built[name]

    return network


def test_every_network_obeys_these_laws():
    assert {type(options) for options in NETWORKS.values()} == set(
        students.BUILDERS.values()
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_are_those_of_the_built_network(name, network):
    made = network(name).output
    built = {key: tuple(tensor.shape[1:]) for key, tensor in made.items()}
    assert built.pop("logits") == (CLASSES,)
    assert built == NETWORKS[name].shapes(SHAPE)
    sections = [f"section{index}" for index in range(1, len(built))]
    assert list(built) == ["stem", *sections]
    assert sections


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [8, 64])
def test_every_image_of_8_to_64_pixels_has_shapes(name, size):
    for height, width, channels in NETWORKS[name].shapes((size, size, 1)).values():
        assert height == width >= 1
        assert channels >= 1


@pytest.mark.parametrize("name", NETWORKS)
def test_a_section_maps_one_representation_to_the_next(name, network):
    images = np.random.default_rng(0).uniform(size=(2, *SHAPE)).astype("float32")
    outputs = network(name)(images, training=False)
    names = [key for key in outputs if key != "logits"]
    for given, made in itertools.pairwise(names):
        section = network(name).get_layer(made)(outputs[given], training=False)
        np.testing.assert_allclose(section, outputs[made], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_no_two_variables_share_a_path(name, network):
    paths = [variable.path for variable in network(name).variables]
    assert len(set(paths)) == len(paths)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kernel_and_nothing_else_decays(name, network):
    kernels = [
        v for v in network(name).trainable_variables if v.path.endswith("kernel")
    ]
    wanted = sum(5e-5 * np.sum(np.square(kernel)) for kernel in kernels)
    assert float(sum(network(name).losses)) == pytest.approx(wanted, rel=1e-4)


def weighted(network):
    return [
        layer
        for layer in network._flatten_layers()
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)
        and "shortcut" not in layer.name
    ]


@pytest.mark.parametrize("depth", [8, 14, 20])
def test_depth_counts_convolutions_and_the_head_without_shortcuts(depth):
    network = students.ResNet(depth=depth, width=4).build((8, 8, 1), 5)
    assert len(weighted(network)) == depth


@pytest.mark.parametrize(("name", "layers"), [("lenet", 5), ("nin", 9)])
def test_networks_of_one_depth_have_it(name, layers, network):
    assert len(weighted(network(name))) == layers


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("resnet", {"depth": 9}, "`depth` must be 6n [+] 2, such as 8"),
        ("resnet", {"depth": 2}, "`depth`"),
        ("resnet", {"depth": 8, "width": 0}, "`width` must be at least 1"),
        ("resnet", {"depth": 8, "weight_decay": -1.0}, "`weight_decay` must be in"),
        ("lenet", {"width_multiplier": 0.0}, "`width_multiplier` must be positive"),
        ("nin", {"width_multiplier": -1.0}, "`width_multiplier` must be positive"),
    ],
)
def test_what_cannot_be_built_is_refused(name, options, said):
    with pytest.raises(ValueError, match=said):
        students.BUILDERS[name](**options)
