"""Kernels have their zeros together by default, or each its share where it must."""

import dataclasses

import pytest

from distill import config
from distill.compress.base import shares
from distill.compress.finishers import pruned
from distill.runtime import errors

# TF-MOT turns `tf.keras` into Keras 2 for a whole process: it gets one of its own.
CHILD = """
import json

import benches
import keras
import numpy as np

from distill import config
from distill.compress.finishers import pruned
from distill.compress.prune import magnitude
from distill.measure import cost
from distill.measure.facts import read_facts

layers, results = keras.layers, {}
run, folder = benches.begin("[{name: pruned}]")
images = x = keras.Input((8, 8, 1), name="images")
for name, scale in (("stem", 1.0), ("inner", 0.6)):
    start = keras.initializers.RandomNormal(stddev=scale)
    x = layers.Conv2D(8, 3, use_bias=False, name=name, kernel_initializer=start)(x)
    x = layers.ReLU()(layers.BatchNormalization(name=f"{name}_norm")(x))
x = layers.GlobalAveragePooling2D(name="pool")(x)
head = layers.Dense(10, name="head", kernel_initializer=start)
student = keras.Model(images, {"logits": head(x)})
work = benches.open_bench(run, folder, student)


def kernels(model):
    found = [x for layer in model.layers for x in magnitude.kernels(layer)]
    return [abs(x.numpy()).ravel() for x in found]


first = kernels(work.twin())
for scope in ("auto", "kernel"):
    # All zeros are chosen at once, by the weights that the student has.
    part = pruned.Pruned(scope=scope, sparsity=0.5, schedule="constant", epochs=1)
    path = folder / "x.tflite"
    path.write_bytes(part.make(work))
    work.store(config.name_of(part)).clear()
    stays = [one > 0 for one in kernels(work.restore("pruned"))]
    pairs = list(zip(first, stays))
    results[scope] = {
        "zeros": [float(1 - one.mean()) for one in stays],
        "gone": float(max(one[~which].max() for one, which in pairs)),
        "kept": float(min(one[which].min() for one, which in pairs)),
        "all": read_facts(path).sparsity,
        "breaches": part.breaches(read_facts(path), {}, cost.count(student)),
    }
print(json.dumps(results))
"""


@pytest.mark.parametrize("scope", ["auto", "kernel"])
def test_a_file_has_the_promised_zeros_in_all(results, scope):
    assert results[scope]["all"] == pytest.approx(0.5, abs=0.005)
    assert results[scope]["breaches"] == []


def test_by_default_no_weight_goes_that_is_larger_than_one_that_stays(results):
    assert results["auto"]["gone"] <= results["auto"]["kept"]
    assert max(results["auto"]["zeros"]) > 0.52 > 0.48 > min(results["auto"]["zeros"])


def test_with_a_threshold_for_each_kernel_each_has_its_share(results):
    assert results["kernel"]["zeros"] == pytest.approx([0.5] * 3, abs=0.01)
    assert results["kernel"]["gone"] > results["kernel"]["kept"]


RULE, WHOLE = (shares.Rule(layers="head", sparsity=share) for share in (0.3, 0.0))
FOURS = {"pattern": "2_of_4", "sparsity": 0.5}
BUDGET = {"budget": shares.Budget(keep=0.5)}


@pytest.mark.parametrize(
    ("options", "pruner", "is_joint"),
    [
        ({}, "own", True),
        ({"scope": "kernel"}, "tfmot", False),
        ({"scope": "kernel", "engine": "own"}, "own", False),
        ({"engine": "own"}, "own", True),
        ({"engine": "tfmot"}, "tfmot", False),
        (FOURS, "tfmot", False),
        (FOURS | {"scope": "kernel"}, "tfmot", False),
        ({"rules": (WHOLE,)}, "own", True),
        ({"rules": (WHOLE, RULE)}, "tfmot", False),
        (BUDGET, "own", True),
        ({"score": "lamp"}, "own", True),
    ],
)
def test_one_threshold_is_the_default_where_the_other_options_allow_it(
    options, pruner, is_joint
):
    part = pruned.Pruned(**options)
    assert part.pruner == pruner
    assert bool(part.joint) == is_joint
    assert part.depends_on_layers == is_joint or part.rules


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            "{engine: tfmot, scope: network}",
            "`engine` must be own with `scope: network`",
        ),
        ("{engine: tfmot, budget: {keep: 0.5}}", "`engine` must be own with `budget`"),
        ("{engine: tfmot, score: lamp}", "`engine` must be own with `score: lamp`"),
        (
            "{pattern: 2_of_4, sparsity: 0.5, scope: network}",
            "`scope` must be auto or kernel with `pattern: 2_of_4`",
        ),
        (
            "{rules: [{layers: head, sparsity: 0.3}], budget: {keep: 0.5}}",
            "must be 0 with `budget`",
        ),
        (
            "{rules: [{layers: head, sparsity: 0.3}], score: lamp}",
            "must be 0 with `score: lamp`",
        ),
    ],
)
def test_what_needs_one_threshold_is_refused_where_there_is_none(options, words):
    with pytest.raises(errors.ConfigError, match=words):
        load(options)


def load(options):
    step = f"{{name: pruned, options: {options}}}"
    return config.load("lit_resnet.yaml", [f"finish=[{step}]"]).finish[0]


@pytest.mark.parametrize("options", ["{}", "{pattern: 2_of_4, sparsity: 0.5}"])
def test_a_config_that_was_written_when_each_kernel_had_its_share_is_read_as_that(
    options,
):
    """A folder's `run.yaml` names every option."""
    part = load(options)
    written = config.plain(part) | {"scope": "kernel"}
    read = load(str(written).replace("None", "null"))
    assert read == dataclasses.replace(part, scope="kernel")
    assert read != part and read.pruner == "tfmot"


def test_the_cure_of_too_many_zeros_is_named_where_it_is_one():
    layers = {"head": shares.energy.Layer(((4, 10),), ())}
    with pytest.raises(ValueError, match=r"at most 0.75 for.*\(not with `scope: kern"):
        pruned.Pruned().check_layers(layers)
    with pytest.raises(ValueError, match=r"keeps a weight\. Received"):
        pruned.Pruned(scope="network").check_layers(layers)
    pruned.Pruned(scope="kernel").check_layers(layers)
