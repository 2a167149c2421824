"""Our own engine for eight bits: as TF-MOT where both work, and further than it."""

import pytest

# tf_keras and TF-MOT in a process of their own, as in `test_finish.py`.
CHILD = """
import json
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from distill import config
from distill.compress import capabilities
from distill.compress.finishers import clustered, pruned, pruned_int8, quantized
from distill.compress.prune import magnitude
from distill.compress.quantize import rounding, simulation
from distill.compress.twin import folding
from distill.run import child
from distill.measure import cost, interpreter
from distill.measure.facts import read_facts
from distill.runtime import errors

layers, results = keras.layers, {}
run = config.load(
    "finish_resnet.yaml",
    [
        "data.options.train_examples=240",
        "batch_size=60",
        "augmentation={}",
        "finish=[{name: pruned}]",
    ],
)
images = keras.Input((8, 8, 1), name="images")


def kernel(x, name, width, size=3):
    x = layers.Conv2D(width, size, padding="same", use_bias=False, name=name)(x)
    return layers.BatchNormalization(name=f"{name}_norm")(x)


def headed(x):
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return {"logits": layers.Dense(10, name="head")(x)}


def plain():
    x = layers.ReLU(name="first")(kernel(images, "stem", 8))
    x = layers.Add(name="sum")([x, kernel(x, "inner", 8)])
    return headed(layers.ReLU(name="last")(x))


def gated():
    x = layers.Rescaling(2.0, -1.0, name="scaling")(images)
    x = layers.Activation("hard_silu", name="swish")(kernel(x, "stem", 8))
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    gate = layers.Conv2D(8, 1, activation="hard_sigmoid", name="excite")(gate)
    x = layers.Multiply(name="gate")([x, gate])
    return headed(layers.ReLU(name="last")(kernel(x, "inner", 8)))


def sequence():
    x = layers.Reshape((8, 8), name="rows")(images)
    x = layers.Conv1D(12, 3, padding="same", name="inner")(x)
    y = layers.LayerNormalization(name="layer_norm")(x)
    y = layers.Dense(12, activation="gelu", name="mixed")(y)
    x = layers.Add(name="sum")([x, y])
    x = layers.GlobalAveragePooling1D(name="pool")(x)
    x = layers.ReLU(name="last")(
        layers.BatchNormalization(name="dense_norm")(layers.Dense(9, name="dense")(x))
    )
    return {"logits": layers.Dense(10, name="head")(x)}


def worked(name, outputs):
    folder = pathlib.Path(sys.argv[1]) / name
    (folder / "checkpoint").mkdir(parents=True)
    keras.utils.set_random_seed(0)
    student = keras.Model(images, outputs())
    rng = np.random.default_rng(0)
    for variable in student.variables:
        variable.assign(variable + rng.uniform(0, 0.2, variable.shape))
    student.save(folder / "student.keras")
    return child.open_workbench(run, folder), folder


def made(work, folder, part):
    name, path = config.name_of(part), folder / "x.tflite"
    path.write_bytes(part.make(work))
    facts = read_facts(path)
    work.store(name).clear()
    return {
        "breaches": part.breaches(facts, PARTS, cost.count(work._material.student))
        + part.conversion_breaches(work.parity),
        "ops": facts.ops,
        "engine": work.engines[name],
        "losses": work.trained[name][0]["loss"],
        "parity": work.parity["max"] / work.parity["scale"],
        "distinct": [kernel.channel_distinct for kernel in facts.kernels],
    }


def kept(work, name, form=lambda twin: twin, clusters=None):
    model = form(work.twin())
    for layer in model.layers:
        for weight in magnitude.kernels(layer):
            values = weight.numpy()
            if clusters:
                ends = np.linspace(values.min(), values.max(), clusters)
                values = ends[abs(values[..., None] - ends).argmin(-1)]
            small = abs(values) <= np.quantile(abs(values), 0.75)
            weight.assign(np.where(small, 0, values))
    work.keep(name, model)


short = {"epochs": 3, "learning_rate": 0.05}
int8 = lambda engine: quantized.Int8(engine=engine, **short)
PARTS = {
    "pruned": pruned.Pruned(sparsity=0.75),
    "pruned_clustered": clustered.PrunedClustered(clusters=9),
}

# Both engines on a network that both take.
work, folder = worked("plain", plain)
pixels = run.data.load().validation.floats()
answers = []
for engine in ("tfmot", "keras"):
    results[engine] = made(work, folder, int8(engine))
    answers.append(interpreter.predict(folder / "x.tflite", pixels))
results["auto"] = capabilities.choose_engine(work.twin(), "auto")
one, other = answers
results["apart"] = float(abs(one - other).mean() / abs(one).max())
results["same"] = float((one.argmax(-1) == other.argmax(-1)).mean())
simulated = simulation.simulate(work.twin())
results["state"] = sum("/steps:" in one.name for one in simulated.variables)

# What TF-MOT refuses.
work, folder = worked("gated", gated)
results["gated"] = made(work, folder, int8("auto"))
try:
    int8("tfmot").make(work)
except errors.FinishError as mistake:
    results["refused"] = str(mistake)
kept(work, "pruned")
kept(work, "pruned_clustered", folding.fold, 9)
results["pruned_int8"] = made(work, folder, pruned_int8.PrunedInt8(**short))
results["pruned_clustered_int8"] = made(
    work, folder, clustered.PrunedClusteredInt8(epochs=3)
)
work, folder = worked("sequence", sequence)
results["sequence"] = made(work, folder, int8("auto"))
results["normed dense"] = (
    capabilities.get_support().layers("tfmot", work.twin()).get("dense_norm")
)
odd = tf_keras.Sequential([tf_keras.layers.Activation("softplus", name="odd")])
odd.build((None, 4))
try:
    capabilities.choose_engine(tf_keras.Model(odd.inputs, odd.outputs), "keras")
except errors.FinishError as mistake:
    results["odd"] = str(mistake)

# A range is the mean of the first steps, and moves slowly later.
moving = rounding.Range()
for most in (1.0, 3.0):
    moving(tf.constant([most, -1.0]), training=True)
moving(tf.constant([9.0]), training=False)
results["ends"] = [float(moving.low), float(moving.high)]
moving.steps.assign(1000.0)
moving(tf.constant([12.0]), training=True)
results["later"] = float(moving.high)
rounded = moving(tf.linspace(-1.0, 2.0, 1000)).numpy()
results["steps"] = len(set(rounded.tolist()))
print(json.dumps(results))
"""


OURS = ["keras", "gated", "sequence", "pruned_int8", "pruned_clustered_int8"]


@pytest.mark.parametrize("name", ["tfmot", *OURS])
def test_a_file_holds_what_was_promised(results, name):
    assert results[name]["breaches"] == []


@pytest.mark.parametrize("name", OURS)
def test_training_sees_what_the_file_computes(results, name):
    assert results[name]["parity"] < 0.05


@pytest.mark.parametrize("name", OURS)
def test_training_moves_the_loss(results, name):
    first, *_, last = results[name]["losses"]
    assert last < first


def test_both_engines_agree_where_both_work(results):
    assert results["tfmot"]["ops"] == results["keras"]["ops"]
    assert results["apart"] < 0.03
    assert results["same"] > 0.9


def test_tf_mot_goes_first(results):
    assert results["auto"] == ["tfmot", {}]
    assert results["gated"]["engine"] == results["sequence"]["engine"] == "keras"


def test_a_hard_swish_is_one_op(results):
    ops = results["gated"]["ops"]
    assert ops["HARD_SWISH"] == 1
    assert ops["MUL"] == 3  # Scaling, the gate, and the sixth of its sigmoid.
    assert ops["ADD"] == 2  # Scaling, and the shift of that sigmoid.


def test_a_layer_norm_and_a_dense_with_a_norm_are_integers(results):
    ops = results["sequence"]["ops"]
    assert ops["RSQRT"] == 1
    assert ops["GELU"] == 1


def test_clusters_are_kept(results):
    assert 2 < max(results["pruned_clustered_int8"]["distinct"]) <= 9


def test_a_chosen_engine_that_cannot_is_refused_before_it_trains(results):
    assert "`gate`: TF-MOT cannot quantize Multiply layers" in results["refused"]
    assert "`odd`: our engine cannot quantize Activation layers" in results["odd"]
    assert "softplus" in results["odd"]


def test_tf_mot_is_not_trusted_with_a_dense_that_has_a_norm(results):
    assert "leaves a Dense in float" in results["normed dense"]


def test_what_a_range_has_seen_is_state_of_the_model(results):
    assert results["state"] == 6  # Input, two relus, inner norm, pool, head.


def test_a_range_is_a_mean_at_first_and_moves_slowly_later(results):
    assert results["ends"] == [-1.0, 2.0]
    assert results["later"] == pytest.approx(2.1)
    assert results["steps"] > 100
