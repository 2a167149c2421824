"""A network that is rewritten has the same outputs, or is refused by name."""

import pytest

# TF-MOT turns `tf.keras` into Keras 2 for a whole process: it gets one of its own.
CHILD = """
import json, pathlib, sys, tempfile
import numpy as np, tf_keras
from distill.compress import capabilities, convert, trials
from distill.compress.prune import channels
from distill.compress.quantize import equivalence
from distill.compress.twin import folding, moves
from distill.measure import facts, interpreter

L, results = tf_keras.layers, {}
rng = np.random.default_rng(0)
images = rng.uniform(size=(16, 8, 8, 3)).astype("float32")

def network(body, seed=0):
    tf_keras.utils.set_random_seed(seed)
    given = tf_keras.Input((8, 8, 3))
    return trials.perturb(tf_keras.Model(given, body(given)))

def conv(x, name, act=None, width=4, **options):
    return L.Conv2D(width, 3, padding="same", activation=act, name=name)(x)

def head(x):
    return L.Dense(3, name="head")(L.GlobalAveragePooling2D(name="pool")(x))

def twice(x):
    kernel = L.Conv2D(4, 3, padding="same", name="kernel")
    both = x, L.Rescaling(20.0, name="louder")(x)
    both = [L.ReLU(name=f"relu{i}")(kernel(y)) for i, y in enumerate(both)]
    return head(L.Concatenate(name="both")(both))

def twice_normed(x):
    kernel = L.Conv2D(4, 3, padding="same", name="kernel")
    norm = L.BatchNormalization(name="norm")
    both = [norm(kernel(y)) for y in (x, L.Rescaling(0.5, name="quieter")(x))]
    return head(L.Concatenate(name="both")(both))

def reused(x):
    relu = L.ReLU(name="relu")
    return head(relu(conv(relu(conv(x, "a")), "b")))

NETWORKS = {
    "tanh before relu": lambda x: head(L.ReLU(name="relu")(conv(x, "a", "tanh"))),
    "sigmoid before activation": lambda x: head(
        L.Activation("relu", name="relu")(conv(x, "a", "sigmoid"))),
    "relu of six": lambda x: head(L.ReLU(6.0, name="relu")(conv(x, "a"))),
    "activation": lambda x: head(L.Activation("relu", name="relu")(conv(x, "a"))),
    "rows": lambda x: head(L.BatchNormalization(axis=1, name="norm")(conv(x, "a"))),
    "rows alone": lambda x: head(
        conv(L.BatchNormalization(axis=2, name="norm")(x), "a")),
    "norm behind a relu": lambda x: head(
        L.BatchNormalization(name="norm")(conv(x, "a", "relu"))),
    "layer norm of places": lambda x: head(
        L.LayerNormalization(axis=[1, 2], name="norm")(conv(x, "a"))),
    "transposed": lambda x: head(L.ReLU(name="relu")(L.BatchNormalization(name="norm")(
        L.Conv2DTranspose(5, 3, strides=2, name="a")(x)))),
    "transposed rows": lambda x: L.Dense(3)(L.Flatten()(L.Conv1DTranspose(
        4, 3, strides=2, padding="same", name="a")(L.Reshape((8, 24))(x)))),
    "depthwise rows": lambda x: L.Dense(3)(L.Flatten()(L.BatchNormalization()(
        L.DepthwiseConv1D(3, depth_multiplier=2, name="a")(L.Reshape((8, 24))(x))))),
    "shared": twice,
    "shared norm": twice_normed,
    "reused": reused,
    "heard twice": lambda x: head(
        L.Add(name="sum")([y := conv(x, "a"), L.ReLU(name="relu")(y)])),
}
for name, body in NETWORKS.items():
    model = network(body)
    found = {}
    for engine, simulated in capabilities.ENGINES.items():
        try:
            made = simulated(model)
        except Exception as mistake:
            found[engine] = str(mistake)
            continue
        equivalence.check(model, made, images)
        found[engine] = None
    equivalence.check(model, folding.fold(model), images)
    results[name] = found

# A precondition that is not asked, and who says so.
linear = folding._is_linear_kernel
folding._is_linear_kernel = lambda layer: hasattr(layer, "activation") and bool(
    layer.weights)
model = network(lambda x: head(L.ReLU(name="relu")(conv(conv(x, "a"), "b", "tanh"))))
for engine in ("tfmot", "keras"):
    try:
        equivalence.check(model, capabilities.ENGINES[engine](model), images)
    except equivalence.OutputsDiffer as mistake:
        results[f"lost, {engine}"] = str(mistake)
results["lost, asked"] = capabilities.get_support().model("tfmot", model)
folding._is_linear_kernel = linear

# A shared kernel: a range for each call, and one kernel in training and in the file.
model = network(twice)
made = capabilities.ENGINES["keras"](model, zeros=True)
made(images, training=True)
results["highs"] = sorted(
    float(v.numpy()) for v in made.variables if "relu" in v.name and "high" in v.name)
results["trained"] = len([v for v in made.trainable_variables if "kernel:0" in v.name])
path = pathlib.Path(tempfile.mkdtemp()) / "x.tflite"
path.write_bytes(convert.to_tflite(made, "int8"))
held, wanted = facts.read_facts(path), model(images).numpy()
apart = abs(interpreter.predict(path, images) - wanted).max() / abs(wanted).max()
results["file"] = [float(apart), list(held.float_ops), held.parameters]
results["parameters"] = model.count_params()
results["inner"] = [part.maker for part in channels.inner(model)]
results["macs"] = channels.macs(model)["kernel"]

# Norms of other axes are no norms of channels.
rows = network(NETWORKS["rows"])
asked = capabilities.get_support()
results["axis"] = {way: asked.layers(way, rows) for way in ("tfmot", "keras")}
results["axis"]["inner"] = [part.maker for part in channels.inner(rows)]

# What only moves or chooses values stays in eight bits, whoever hears it.
def moved(x):
    x = conv(x, "a", "relu")
    most, _ = moves.TopK(2, name="most")(x)
    one = moves.Slice(["...", 3], name="one")(x)
    other = moves.Slice([[None] * 3, [0, 4, 2]], name="other")(L.Permute((3, 2, 1))(x))
    less = L.Minimum(name="less")([one, moves.Slice(["...", 0], name="first")(x)])
    two = moves.Take([1, 0], 3, name="two")(x)
    return L.Dense(3)(L.Concatenate()([L.Flatten()(y) for y in (
        most, one, other, less, two)]))

model = network(moved)
results["moved"] = {way: asked.layers(way, model) for way in ("tfmot", "keras")}
results["moved"]["model"] = asked.model("keras", model)
made = capabilities.ENGINES["keras"](model)
made(images, training=True)
path.write_bytes(convert.to_tflite(made, "int8"))
apart = abs(interpreter.predict(path, images) - model(images).numpy()).max()
results["moved"]["file"] = [float(apart), list(facts.read_facts(path).float_ops)]
print(json.dumps(results))
"""


NETWORKS = [
    *["tanh before relu", "sigmoid before activation", "relu of six", "activation"],
    *["rows", "rows alone", "norm behind a relu", "layer norm of places"],
    *["transposed", "transposed rows", "depthwise rows", "heard twice"],
    *["shared", "shared norm", "reused"],
]


@pytest.mark.parametrize("name", NETWORKS)
def test_our_engine_writes_it_so_that_it_answers_as_before(results, name):
    assert results[name]["keras"] is None


def test_tf_mot_is_refused_where_it_would_leave_a_kernel_in_float(results):
    for name in ("tanh before relu", "sigmoid before activation", "relu of six"):
        assert "leaves the kernel of `a` in float" in results[name]["tfmot"]
    for name in ("activation", "norm behind a relu", "transposed", "heard twice"):
        assert results[name]["tfmot"] is None


def test_a_layer_without_weights_may_be_called_twice_and_others_are_named(results):
    assert results["reused"]["tfmot"] is None
    for name in ("shared", "shared norm"):
        assert "`kernel`: TF-MOT has one range for all calls" in results[name]["tfmot"]


@pytest.mark.parametrize("engine", ["tfmot", "keras"])
def test_a_lost_activation_is_refused_by_the_layers_name(results, engine):
    line = results[f"lost, {engine}"]
    assert "`b`: rewritten for this file, the network's outputs differ" in line
    assert "\n" not in line


def test_the_doctor_sees_it_too(results):
    assert "`b`: rewritten" in results["lost, asked"]


def test_each_call_of_a_shared_layer_has_its_own_range(results):
    quiet, loud = results["highs"]
    assert loud > 5 * quiet


def test_a_shared_kernel_is_one_in_training_and_in_the_file(results):
    assert results["trained"] == 2  # The kernel and the head.
    apart, floats, parameters = results["file"]
    assert apart < 0.03 and floats == []
    assert parameters == results["parameters"] + 4  # A bias is scaled for each call.


def test_a_shared_layer_stays_as_wide_and_counts_at_each_call(results):
    assert results["inner"] == []
    assert results["macs"] == 2 * 64 * 9 * 3 * 4


def test_a_norm_of_rows_is_no_norm_of_channels(results):
    assert "only behind a kernel" in results["axis"]["tfmot"]["norm"]
    assert results["axis"]["keras"] == {}
    assert results["axis"]["inner"] == []


def test_what_moves_or_chooses_values_stays_in_eight_bits(results):
    assert results["moved"]["keras"] == {} and results["moved"]["model"] is None
    assert set(results["moved"]["tfmot"]) == {"less"}  # A minimum, which it refuses.
    apart, floats = results["moved"]["file"]
    assert apart < 0.1 and floats == []
