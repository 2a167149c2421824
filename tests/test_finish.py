"""Finishers keep their promises, or say how they broke them."""

import json
import pathlib
import subprocess
import sys

import pytest

from distill import config, cost, finish, measure, run_folder
from students import ResNet

KEPT = {"int8": (), "pruned": ("CONV_2D",), "pruned_int8": ()}
PARTS = {name: kind() for name, kind in finish.FINISHERS.items()}


def facts(sparsity=0.8, float_ops=()):
    return measure.Facts(1, 1, 1, 1, sparsity, tuple(float_ops), {})


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_promise_is_no_breach(name):
    assert PARTS[name].breaches(facts(0.799, KEPT[name]), PARTS) == []


@pytest.mark.parametrize(
    ("name", "broken", "words"),
    [
        ("int8", facts(float_ops=["CONV_2D", "ADD"]), ["float", "CONV_2D, ADD"]),
        ("pruned", facts(0.79), ["sparsity 0.790", "promised 0.8"]),
        ("pruned_int8", facts(0.3), ["sparsity 0.300"]),
        ("pruned_int8", facts(float_ops=["MEAN"]), ["float", "MEAN"]),
    ],
)
def test_a_broken_promise_is_told_in_words(name, broken, words):
    lines = PARTS[name].breaches(broken, PARTS)
    assert len(lines) == 1
    assert all(word in lines[0] for word in words)


@pytest.mark.parametrize("name", ["int8", "pruned", "pruned_int8"])
@pytest.mark.parametrize(
    "options",
    [{"epochs": 0}, {"learning_rate": 0.0}, {"temperature": 0.0}, {"kd_weight": -1.0}],
)
def test_options_out_of_range_are_refused_by_name(name, options):
    with pytest.raises(ValueError, match=f"`{next(iter(options))}` must be"):
        finish.FINISHERS[name](**options)


@pytest.mark.parametrize(
    "options", [{"sparsity": 0.0}, {"sparsity": 1.0}, {"rise": 0.0}]
)
def test_shares_that_are_none_are_refused(options):
    with pytest.raises(ValueError, match=f"`{next(iter(options))}` must be"):
        finish.FINISHERS["pruned"](**options)


def test_predicted_sizes_order_as_the_files_do():
    counted = cost.count(ResNet(depth=8).build((8, 8, 1), 10))
    size = {name: part.predicted_bytes(counted) for name, part in PARTS.items()}
    assert size["pruned"] < size["int8"] < size["float16"] < size["float32"]
    # As measured on the files of such a network.
    measured = {"float32": 317_500, "float16": 166_800, "dynamic_int8": 93_900}
    measured |= {"int8": 95_800, "pruned": 93_200, "pruned_int8": 95_800}
    for name, wanted in measured.items():
        assert size[name] == pytest.approx(wanted, rel=0.1), name


def test_a_failing_process_says_one_line_and_hands_on_its_code(tmp_path, capfd):
    run_folder.claim(tmp_path, config.load("lit_resnet.yaml"))
    with pytest.raises(SystemExit) as caught:
        finish.run(tmp_path)
    assert caught.value.code == 1
    errors = [line for line in capfd.readouterr().err.splitlines() if "error: " in line]
    assert len(errors) == 1
    assert "Traceback" not in errors[0]


def test_a_killed_process_is_one_line(tmp_path, dying_python):
    dying_python(9)
    with pytest.raises(finish.FinishError, match="killed by signal 9"):
        finish.run(tmp_path)


# TF-MOT turns `tf.keras` into Keras 2 for a whole process: it gets one of its own.
CHILD = """
import json, sys
import keras, numpy as np, tensorflow as tf, tf_keras
from distill import config
from distill.finish import bench, twin
from students import ResNet

said = {}
student = ResNet(depth=8, width=4).build((8, 8, 1), 10)
rng = np.random.default_rng(0)
for variable in student.variables:
    variable.assign(variable + rng.uniform(-0.05, 0.05, variable.shape))
images = rng.uniform(size=(5, 8, 8, 1)).astype("float32")
copy = twin.to_tf_keras(student)
wanted = keras.ops.convert_to_numpy(student(images)["logits"])
said["difference"] = float(abs(copy(images).numpy() - wanted).max())
said["names"] = [layer.name for layer in copy.layers]

def refused(action):
    try:
        action()
    except twin.NoTwin as mistake:
        return str(mistake)

shared = keras.layers.Dense(4, name="shared")
inputs = keras.Input((4,))
model = keras.Model(inputs, shared(shared(inputs)))
copy_of_shared = twin.to_tf_keras(model)
said["shared"] = len(copy_of_shared.layers)
x = np.ones((2, 4), "float32")
twice = copy_of_shared(x).numpy(), model(x).numpy()
said["shared_difference"] = float(abs(twice[0] - twice[1]).max())
odd = keras.Model(inputs, keras.layers.RMSNormalization(name="odd")(inputs))
said["odd"] = refused(lambda: twin.to_tf_keras(odd))
copy.layers[-1].bias.assign_add(np.full(10, 1e-3))
said["unequal"] = refused(lambda: twin.check_equal(student, copy, images))
copy.layers[-1].bias.assign(np.full(10, np.nan))
said["nan"] = refused(lambda: twin.check_equal(student, copy, images))
said["sequence"] = refused(lambda: twin.to_tf_keras(keras.Sequential()))

class Part:
    task_weight, kd_weight, temperature = 0.3, 0.7, 3.0

task, kd = bench._terms(Part)
taught, made = rng.normal(size=(2, 6, 4)).astype("float32")
labels = np.array([0, 1, 2, 3, 0, 1])
asked = np.column_stack([labels, taught]).astype("float32")
soft = lambda z: np.exp(z) / np.exp(z).sum(-1, keepdims=True)
p, q = soft(taught / 3), soft(made / 3)
divergence = 0.7 * 9 * (p * np.log(p / q)).sum(-1)
said["kd"] = [float(abs(kd(asked, made).numpy() - divergence).max())]
ce = -np.log(soft(made)[np.arange(6), labels])
said["task"] = [float(abs(task(asked, made).numpy() - 0.3 * ce).max())]
(alone,) = bench._terms(Part, taught=False)
said["alone"] = [float(abs(alone(asked[:, :1], made).numpy() - ce).max())]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def child():
    root = pathlib.Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", CHILD], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_the_twin_answers_as_the_student(child):
    assert child["difference"] <= 1e-5
    assert len(set(child["names"])) == len(child["names"])
    assert "section2_block1_shortcut_conv" in child["names"]


def test_a_shared_layer_is_shared_in_the_twin(child):
    assert child["shared"] == 2
    assert child["shared_difference"] <= 1e-5


def test_what_has_no_twin_is_named(child):
    assert "`odd` (RMSNormalization)" in child["odd"]
    assert "not a functional model" in child["sequence"]


def test_an_unequal_twin_is_refused(child):
    assert "largest difference 0.001" in child["unequal"]
    assert "nan" in child["nan"]


def test_finishing_learns_by_the_papers_formula(child):
    assert child["kd"][0] <= 1e-5
    assert child["task"][0] <= 1e-5


def test_without_a_teacher_the_labels_get_the_whole_weight(child):
    assert child["alone"][0] <= 1e-5
