"""What each finisher makes holds its promise in the file, and goes on after a kill."""

import pytest

# TF-MOT turns `tf.keras` into Keras 2 for a whole process: it gets one of its own.
CHILD = """
import json
import pathlib
import sys

import keras
import numpy as np
import tf_keras

from distill import config
from distill.compress import finishers, layer_errors
from distill.compress.base import shares
from distill.compress.finishers import clustered, narrowed, pruned, quantized
from distill.compress.prune import channels
from distill.compress.quantize import ranges, tfmot
from distill.compress.twin import folding
from distill.run import child
from distill.measure import cost, interpreter
from distill.measure.facts import read_facts
from distill.runtime import errors
from distill.runtime.resume import resume

layers = keras.layers
folder = pathlib.Path(sys.argv[1])
(folder / "checkpoint").mkdir()
names = list(finishers.FINISHERS)
run = config.load(
    "finish_resnet.yaml",
    [
        "data.options.train_examples=120",
        "batch_size=36",
        "augmentation={}",
        "finish=[{name: pruned}, {name: narrowed, options: {macs: 0.6, epochs: 1}}]",
    ],
)


def network(seed):
    keras.utils.set_random_seed(seed)
    images = keras.Input((8, 8, 1), name="images")

    def kernel(x, name, width, size=3):
        x = layers.Conv2D(width, size, padding="same", use_bias=False, name=name)(x)
        return layers.BatchNormalization(name=f"{name}_norm")(x)

    x = stem = layers.ReLU(name="stem_relu")(kernel(images, "stem", 8))
    x = layers.ReLU(name="inner_relu")(kernel(x, "inner", 8))
    x = layers.Add(name="sum")([stem, kernel(x, "outer", 8)])
    x = layers.GlobalAveragePooling2D(name="pool")(layers.ReLU(name="sum_relu")(x))
    model = keras.Model(images, {"logits": layers.Dense(10, name="head")(x)})
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        variable.assign(variable + rng.uniform(0, 0.2, variable.shape))
    return model


student = network(0)
student.save(folder / "student.keras")
network(1).save(folder / "teacher.keras")
work = child.open_workbench(run, folder)
results = {}


def made(part, name=None):
    path = folder / "x.tflite"
    path.write_bytes(part.make(work))
    work.store(config.name_of(part)).clear()
    return path


counted = cost.count(student)
short = {"epochs": 1}
rule = shares.Rule(layers="head", sparsity=0.2)
parts = {
    "pruned": pruned.Pruned(sparsity=0.7, rules=(rule,), **short),
    "pruned_clustered": clustered.PrunedClustered(clusters=6, **short),
    "pruned_clustered_int8": clustered.PrunedClusteredInt8(**short),
    "clustered": clustered.Clustered(clusters=6, **short),
    "clustered_int8": clustered.ClusteredInt8(**short),
    "narrowed": run.finish[1],
    "narrowed_int8": narrowed.NarrowedInt8(**short),
}
for name in ("dynamic_int4", "int8_calibrated", "int16x8"):
    parts[name] = finishers.FINISHERS[name]()
for name, part in parts.items():
    facts = read_facts(made(part))
    results[name] = {
        "breaches": part.breaches(facts, parts, counted),
        "distinct": [kernel.distinct for kernel in facts.kernels],
        "channel": [kernel.channel_distinct for kernel in facts.kernels],
        "zeros": {kernel.layer: kernel.zeros / kernel.size for kernel in facts.kernels},
        "shapes": [kernel.shape for kernel in facts.kernels],
        "bits": [kernel.bits for kernel in facts.kernels],
        "macs": facts.macs / counted.macs,
    }

# Ends of eight bits: the same file but for them.
seen = work.validation.floats()
for kind in (finishers.FINISHERS["int8_calibrated"], quantized.Int8):
    options = short if kind is quantized.Int8 else {}
    plain = interpreter.predict(made(kind(**options)), seen)
    name = config.name_of(kind())
    for io in ("int8", "uint8"):
        part = kind(io=io, **options)
        path = made(part)
        facts = read_facts(path)
        apart = np.abs(interpreter.predict(path, seen) - plain).max()
        results[f"{name} {io}"] = {
            "ends": [end.dtype for end in (*facts.takes, *facts.gives)],
            "breaches": part.breaches(facts, parts, counted),
            "as floats": kind(**options).breaches(facts, parts, counted),
            "steps apart": float(apart / facts.gives[0].scale),
            "conversion": part.conversion_breaches(work.parity),
            "latency": interpreter.latencies([path], seen[:1])[path]["median"],
            "layers": len(work.layers(path.read_bytes())),
        }

four = pruned.Pruned(sparsity=0.5, pattern="2_of_4", schedule="constant", **short)
facts = read_facts(made(four))
results["2_of_4"] = {
    "breaches": four.breaches(facts, {"pruned": four}, counted),
    "kernels": {kernel.layer: kernel.two_of_four for kernel in facts.kernels},
}

# A kill at any step, and the same again.
again = clustered.Clustered(clusters=6, epochs=2)
whole = made(again).read_bytes()
commit, commits = resume._Saver._commit, []


def dies(self):
    commit(self)
    commits.append(self.step)
    if len(commits) == 3:
        raise KeyboardInterrupt


resume._Saver._commit, resume.seconds_between_moments = dies, lambda: 0.0
try:
    again.make(work)
except KeyboardInterrupt:
    results["killed"] = commits
resume._Saver._commit = commit
results["resumed"] = made(again).read_bytes() == whole

# Before a short training: ranges measured, statistics quick, and nothing else.
model = tfmot.simulate(work.twin())
before = [(variable, variable.numpy()) for variable in model.variables]
seen = work.calibration(36)
ranges.settle(model, seen)
results["moved"] = sorted(
    {
        variable.name.split("/")[-1]
        for variable, value in before
        if (variable.numpy() != value).any()
    }
)
shown = model(seen, training=True).numpy()
(top,) = [x for x in model.variables if x.name == "quant_head/post_activation_max:0"]
results["range"] = [float(top.numpy()), float(shown.max())]
settled, settle = [], ranges.settle
ranges.settle = lambda model, inputs: settled.append(inputs) or settle(model, inputs)
work.fit(model, quantized.Int8(epochs=1))
work.store("int8").clear()
ranges.settle = settle
results["settled"] = np.array_equal(*settled, work._material.augmented_sample("int8"))
sampled = work._material.sample(layer_errors.EXAMPLES, "layers").floats()
results["explained"] = np.array_equal(work._reference._inputs, sampled)
results["momentum"] = {
    layer.momentum
    for layer in model.submodules
    if isinstance(layer, tf_keras.layers.BatchNormalization)
}.pop()

# Forms that must not change the answers.
images = np.random.default_rng(0).uniform(size=(6, 8, 8, 1)).astype("float32")


def apart(one, other, images=images):
    return float(abs(one(images).numpy() - other(images).numpy()).max())


original = work.twin()
folded = folding.fold(work.twin())
results["folded"] = apart(original, folded)
results["left"] = sorted({type(layer).__name__ for layer in folded.layers})

kinds = tf_keras.layers
inputs = tf_keras.Input((8, 8, 3))
x = kinds.Conv2D(6, 3, activation="relu", name="a")(inputs)
x = kinds.DepthwiseConv2D(3, name="depthwise")(x)
x = kinds.BatchNormalization(name="norm")(x)
x = kinds.Flatten(name="flat")(kinds.MaxPooling2D(name="pool")(x))
x = kinds.Dense(5, activation="relu", name="b")(x)
mixed = tf_keras.Model(inputs, kinds.Dense(2, name="last")(x))
rng = np.random.default_rng(0)
for layer in mixed.layers:
    values = layer.get_weights()
    layer.set_weights([array + rng.uniform(0.1, 0.3, array.shape) for array in values])
kernel, bias = mixed.get_layer("a").get_weights()
kernel[..., [1, 4]] *= 1e-6  # Small, so that they go; and dead.
bias[[1, 4]] = -1
mixed.get_layer("a").set_weights([kernel, bias])
for name in ("depthwise", "norm"):  # What they leave behind is zero too.
    values = mixed.get_layer(name).get_weights()
    values[1][[1, 4]] = 0
    if name == "norm":
        values[2][[1, 4]] = 0
    mixed.get_layer(name).set_weights(values)
found = channels.inner(mixed)
results["inner"] = {
    part.maker: [part.between, part.takers, part.count] for part in found
}
smaller = channels.without(mixed, found[:1], {"a": 4})
pixels = rng.uniform(size=(4, 8, 8, 3)).astype("float32")
results["without"] = apart(mixed, smaller, pixels)
foretold = channels.cost(channels.macs(mixed), found, {"a": 4, "b": 5})
results["costs"] = [foretold, sum(channels.macs(smaller).values())]
results["twin macs"] = [sum(channels.macs(original).values()), counted.macs]


def refused(build, share=0.5):
    inputs = tf_keras.Input((8, 8, 4))
    try:
        channels.narrow(tf_keras.Model(inputs, build(inputs)), share)
    except errors.FinishError as mistake:
        return str(mistake)


conv = lambda *a, **o: kinds.Conv2D(*a, padding="same", **o)
results["bound"] = {
    "sum": refused(lambda x: kinds.Add()([conv(4, 3)(x), x])),
    "output": refused(lambda x: [conv(4, 1)(y := conv(4, 1)(x)), y]),
    "group": refused(lambda x: conv(8, 3, groups=2)(conv(8, 3)(x))),
    "softmax": refused(lambda x: conv(8, 3)(conv(8, 3, activation="softmax")(x))),
}
bound = lambda x: kinds.Add()([conv(64, 3)(x), conv(64, 3)(x)])
results["too little"] = refused(lambda x: conv(2, 1)(conv(2, 1)(bound(x))), 0.3)
print(json.dumps(results))
"""


@pytest.mark.parametrize(
    "name",
    [
        "pruned",
        "clustered",
        "clustered_int8",
        "pruned_clustered",
        "pruned_clustered_int8",
        "narrowed",
        "narrowed_int8",
        "dynamic_int4",
        "int8_calibrated",
        "int16x8",
        "2_of_4",
    ],
)
def test_a_file_holds_what_was_promised(results, name):
    assert results[name]["breaches"] == []


@pytest.mark.parametrize("io", ["int8", "uint8"])
@pytest.mark.parametrize("name", ["int8_calibrated", "int8"])
def test_a_file_with_ends_of_eight_bits_answers_as_the_one_with_floats(
    results, name, io
):
    found = results[f"{name} {io}"]
    assert found["ends"] == [io, io]
    assert found["breaches"] == found["conversion"] == []
    assert found["as floats"] == [
        f"the file takes {io}, promised io = float32",
        f"the file gives {io}, promised io = float32",
    ]
    assert found["steps apart"] < 1e-3
    assert found["latency"] > 0
    assert found["layers"] == 4


def test_clusters_are_as_few_as_asked_and_not_fewer(results):
    assert max(results["clustered"]["distinct"]) == 6
    assert max(results["pruned_clustered"]["distinct"]) == 6
    assert max(results["clustered_int8"]["channel"]) > 2


def test_a_rule_reaches_its_layer_alone(results):
    zeros = results["pruned"]["zeros"]
    assert zeros["inner"] == pytest.approx(0.7, abs=0.01)
    assert sorted(zeros.values())[0] == pytest.approx(0.2, abs=0.02)


def test_two_of_four_goes_where_four_inputs_are(results):
    assert results["2_of_4"]["kernels"] == {
        "stem": True,  # One input: the other three of four are zero.
        "inner": True,
        "outer": True,
        "head": True,
    }


def test_only_channels_between_kernels_go(results):
    assert results["narrowed"]["shapes"] == [
        [8, 3, 3, 1],
        [4, 3, 3, 8],
        [8, 3, 3, 4],
        [10, 8],
    ]
    assert results["narrowed"]["macs"] < 0.6
    assert results["narrowed_int8"]["macs"] == results["narrowed"]["macs"]


def test_kernels_are_stored_as_narrow_as_said(results):
    assert set(results["dynamic_int4"]["bits"]) == {4}
    assert set(results["int16x8"]["bits"]) == {8}


def test_a_killed_finisher_goes_on_bit_for_bit(results):
    assert results["killed"] == [1, 2, 3]
    assert results["resumed"]


def test_ranges_are_measured_before_training_and_nothing_else_moves(results):
    assert {name.rsplit("_", 1)[0] for name in results["moved"]} == {
        "output",
        "post_activation",
    }
    width, shown = results["range"]
    assert shown == pytest.approx(width, rel=0.05)
    assert width != pytest.approx(6, rel=0.05)


def test_ranges_and_errors_of_layers_are_measured_on_samples(results):
    assert results["settled"] and results["explained"]


def test_norms_follow_a_short_training(results):
    assert results["momentum"] == 0.5


def test_folding_changes_no_answer(results):
    assert results["folded"] <= 1e-5
    assert "BatchNormalization" not in results["left"]


def test_channels_are_followed_by_the_graph(results):
    assert results["inner"] == {
        "a": [["depthwise", "norm", "pool", "flat"], ["b"], 6],
        "b": [[], ["last"], 5],
    }


def test_channels_that_nobody_hears_go_unnoticed(results):
    assert results["without"] <= 1e-5


def test_costs_are_foretold(results):
    assert results["costs"][0] == pytest.approx(results["costs"][1])
    assert results["twin macs"][0] == results["twin macs"][1]


def test_what_cannot_be_narrowed_says_so_in_one_line(results):
    for how, line in results["bound"].items():
        assert line and "no filter can go" in line, how
    assert "`macs` must be at least 0.987" in results["too little"]
