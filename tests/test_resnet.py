"""ResNets keep the network contract."""

import itertools

import keras
import numpy as np
import pytest

import students


@pytest.mark.parametrize("depth", [8, 20])
@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 7, 3)])
def test_shapes_are_those_of_the_built_network(depth, shape):
    options = students.ResNet(depth=depth, width=4)
    network = options.build(shape, 5)
    built = {name: tuple(out.shape[1:]) for name, out in network.output.items()}
    assert built.pop("logits") == (5,)
    assert built == options.shapes(shape)
    assert list(built) == ["stem", "section1", "section2", "section3"]


def test_a_section_maps_one_representation_to_the_next():
    network = students.ResNet(depth=8, width=4).build((8, 8, 1), 5)
    images = np.random.default_rng(0).uniform(size=(2, 8, 8, 1)).astype("float32")
    outputs = network(images, training=False)
    names = [name for name in outputs if name != "logits"]
    for given, made in itertools.pairwise(names):
        section = network.get_layer(made)(outputs[given], training=False)
        np.testing.assert_allclose(section, outputs[made], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("depth", [8, 14, 20, 32])
def test_depth_counts_convolutions_and_the_head_without_shortcuts(depth):
    network = students.ResNet(depth=depth, width=4).build((8, 8, 1), 5)
    weighted = [
        layer
        for layer in network._flatten_layers()
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)
        and "shortcut" not in layer.name
    ]
    assert len(weighted) == depth


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"depth": 9}, "`depth` must be 6n [+] 2, such as 8"),
        ({"depth": 2}, "`depth`"),
        ({"depth": 8, "width": 0}, "`width` must be at least 1"),
        ({"depth": 8, "weight_decay": -1.0}, "`weight_decay`"),
    ],
)
def test_what_cannot_be_built_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        students.ResNet(**options)


def test_no_two_variables_share_a_path():
    network = students.ResNet(depth=20, width=2).build((8, 8, 1), 3)
    paths = [variable.path for variable in network.variables]
    assert len(set(paths)) == len(paths)
