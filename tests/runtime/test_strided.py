"""No training meets a strided convolution of one pixel, and none computes otherwise."""

import inspect
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from distill.runtime import onednn, strided
from distill.teach import fit as training
from distill.teach.hardware import fused
from students import ResNet
from trainers import trainer
from trainers.methods import kd

layers = keras.layers
RNG = np.random.default_rng(0)
# Of 16 channels and more, which even with a stride survive.
LAYERS = {
    "line": ((9, 16), lambda: layers.Conv1D(4, 1, 2)),
    "causal": ((9, 16), lambda: layers.Conv1D(4, 1, 3, padding="causal")),
    "image": ((7, 9, 16), lambda: layers.Conv2D(4, 1, 2, activation="tanh")),
    "same": ((7, 8, 16), lambda: layers.Conv2D(4, 1, 3, "same", use_bias=False)),
    "one axis": ((7, 8, 16), lambda: layers.Conv2D(4, 1, (1, 2))),
    "groups": ((7, 7, 32), lambda: layers.Conv2D(6, 1, 2, groups=2)),
    "volume": ((5, 4, 5, 16), lambda: layers.Conv3D(3, 1, (2, 1, 2))),
    "depthwise": ((7, 7, 16), lambda: layers.DepthwiseConv2D(1, 2)),
    "separable": ((7, 7, 16), lambda: layers.SeparableConv2D(3, 1, 2)),
    "each of some": (
        (2, 7, 7, 16),
        lambda: layers.TimeDistributed(layers.Conv2D(4, 1, 2)),
    ),
    "recurrent": ((2, 5, 5, 16), lambda: layers.ConvLSTM2D(2, 1, 2)),
    "transposed": ((4, 5, 3), lambda: layers.Conv2DTranspose(16, 1, 2)),
    "transposed line": ((4, 3), lambda: layers.Conv1DTranspose(16, 1, 3)),
    "padded": (
        (4, 5, 3),
        lambda: layers.Conv2DTranspose(16, 1, (3, 2), "same", output_padding=(1, 0)),
    ),
}
CONVOLUTIONS = {  # Place of the kernel among the inputs; None: it is the output.
    "Conv2D": 1,
    "Conv2DBackpropInput": 1,
    "Conv2DBackpropFilter": None,
    "Conv3D": 1,
    "Conv3DBackpropInputV2": 1,
    "Conv3DBackpropFilterV2": None,
    "DepthwiseConv2dNative": 1,
    "DepthwiseConv2dNativeBackpropInput": 1,
    "DepthwiseConv2dNativeBackpropFilter": None,
}


@pytest.fixture(autouse=True)
def _computing(monkeypatch):
    """As where oneDNN computes, whoever does here."""
    monkeypatch.setattr(onednn, "is_computing", lambda: True)


def strides(graph):
    """Name of each strided operation of a kernel of one pixel, at every depth."""
    result = []
    for operation in graph.get_operations():
        if operation.type in CONVOLUTIONS:
            place = CONVOLUTIONS[operation.type]
            holder = operation.outputs[0] if place is None else operation.inputs[place]
            pixels = holder.shape[:-2]
            if set(pixels) == {1} and max(operation.get_attr("strides")) > 1:
                result.append(operation.name)
        for name in ("f", "body"):
            if name in operation.node_def.attr:
                called = operation.node_def.attr[name].func.name
                result += strides(graph._get_function(called).graph)
    return result


def outputs_and_gradients(model, inputs):
    """A function that makes outputs and all gradients, and its graph."""

    @tf.function
    def both(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = model(x, training=True)
            loss = tf.reduce_sum(tf.sin(tf.cast(y, "float32")))
        return y, tape.gradient(loss, [x, *model.trainable_variables])

    concrete = both.get_concrete_function(tf.constant(inputs))
    return concrete(tf.constant(inputs)), concrete.graph


@pytest.mark.parametrize("name", LAYERS)
def test_the_same_without_a_stride(name):
    shape, build = LAYERS[name]
    model = keras.Sequential([keras.Input(shape), build()])
    inputs = RNG.normal(size=(3, *shape)).astype("float32")
    before = model.get_config()
    plain, graph = outputs_and_gradients(model, inputs)
    assert strides(graph)
    with strided.unstrided(model._flatten_layers()):
        other, graph = outputs_and_gradients(model, inputs)
        assert model.get_config() == before
    assert not strides(graph)
    tf.nest.map_structure(
        lambda one, two: np.testing.assert_allclose(one, two, atol=1e-4), plain, other
    )
    assert strides(outputs_and_gradients(model, inputs)[1])


@pytest.mark.parametrize("step", [2, 3])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_chosen_pixels_are_the_pixels(step, dtype):
    for shape in ((2, 9, 3), (2, 7, 8, 3), (2, 5, 4, 5, 3)):
        x = tf.cast(RNG.normal(size=shape), dtype)
        rank = len(shape) - 2
        pixels, left = strided.without(x, (1,) * rank, (step,) * rank)
        index = (slice(None), *[slice(None, None, step)] * rank)
        np.testing.assert_array_equal(pixels, x[index])
        assert left == (1,) * rank
        for size, stride in (((1,) * rank, 1), ((3,) * rank, step)):
            same, left = strided.without(x, size, (stride,) * rank)
            assert same is x
            assert left == (stride,) * rank


def test_where_tensorflow_has_its_own_kernels_nothing_changes(monkeypatch):
    monkeypatch.setattr(onednn, "is_computing", lambda: False)
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 1, 2)])
    with strided.unstrided(model.layers):
        assert "call" not in vars(model.layers[0])


def test_given_back_also_after_an_error_and_where_models_share_layers():
    layer = layers.Conv2D(4, 1, 2)
    models = [keras.Sequential([keras.Input((8, 8, 3)), layer]) for _ in range(2)]
    with pytest.raises(RuntimeError), fused.for_training(models[0]):
        with fused.for_training(models[1]):
            assert "call" in vars(layer)
        assert "call" in vars(layer)
        raise RuntimeError
    assert "call" not in vars(layer)
    assert layer.strides == (2, 2)


def learner(part="float32", jit=False):
    networks = [
        ResNet(depth=8, width=4, shortcut="projection").build((8, 8, 1), 3)
        for _ in range(2)
    ]
    learning = trainer.Trainer(student=networks[0], teacher=networks[1], method=kd.KD())
    learning.compile(
        optimizer="sgd",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit,
    )
    return learning


def step_graph(model):
    """The graph of a training step."""
    data = (tf.zeros((4, 8, 8, 1)), tf.zeros((4,), "int32"))
    step = tf.function(lambda: model.train_step(data), jit_compile=model.jit_compile)
    return step.get_concrete_function().graph


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("part", ["float32", "mixed_bfloat16"])
def test_no_step_of_a_stage_has_one(part, jit, monkeypatch):
    """In whatever precision, compiled or not."""
    actual, model = [], learner(jit=jit)

    def fit(model, *_, **__):
        actual.extend(strides(step_graph(model)))
        return {}, 1.0

    class Source:
        batch_size, steps_per_epoch = 4, 1
        stream = None

    monkeypatch.setattr(training.resume, "fit", fit)
    monkeypatch.setattr(training.feeding, "read_ahead", lambda source: source)
    assert strides(step_graph(learner()))
    training.fit(
        model,
        Source(),
        epochs=1,
        store=None,
        callbacks=lambda _: [],
        precision=part,
    )
    assert actual == []


CRASH = """
import keras, numpy as np
from distill.teach.hardware import fused
from trainers import trainer
from trainers.methods import supervised

images = keras.Input((64, 64, 3))
x = keras.layers.Conv2D(16, 1, 2)(images)
logits = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))
learner = trainer.Trainer(
    student=keras.Model(images, {"logits": logits}),
    method=supervised.Supervised(), teacher=None)
learner.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
batch = np.zeros((32, 64, 64, 3), "float32"), np.zeros(32, "int32")
with fused.for_training(learner):
    for _ in range(10):
        learner.train_on_batch(*batch)
"""


def test_a_process_lives_where_onednn_would_end_it(monkeypatch):
    """On processors with AVX2 or AVX-512, it did."""
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    subprocess.run([sys.executable, "-c", CRASH], check=True, timeout=200)


FINISHING = f"""
import json, pathlib, sys
import keras, tensorflow as tf
from distill import config
from distill.compress import training
from distill.compress.finishers import coded, pruned, quantized
from distill.measure import facts
from distill.run import child
from distill.runtime import onednn

onednn.is_computing = lambda: True
CONVOLUTIONS = {CONVOLUTIONS}
{inspect.getsource(strides)}
folder = pathlib.Path(sys.argv[1])
(folder / "checkpoint").mkdir()
run = config.load("finish_resnet.yaml", [
    "data.options.train_examples=120", "batch_size=36", "augmentation={{}}",
])
images = keras.Input((8, 8, 1))
x = keras.layers.DepthwiseConv2D(1, 2)(images)
x = keras.layers.ReLU()(keras.layers.Conv2D(8, 1, 2)(x))
x = keras.layers.GlobalAveragePooling2D()(x)
keras.Model(images, {{"logits": keras.layers.Dense(10)(x)}}).save(
    folder / "student.keras"
)
work, fit = child.open_workbench(run, folder), training.resume.fit
found = []

def watched(model, *arguments, **options):
    data = tf.zeros((4, 8, 8, 1)), tf.zeros((4, 1))
    step = tf.function(lambda: model.train_step(data)).get_concrete_function()
    found.append(strides(step.graph))
    return fit(model, *arguments, **options)

training.resume.fit = watched
ops = []
for part in (
    pruned.Pruned(epochs=1, sparsity=0.5),
    pruned.Pruned(epochs=1, sparsity=0.5, engine="tfmot"),
    quantized.Int8(epochs=1, engine="tfmot"),
    quantized.Int8(epochs=1, engine="keras"),
    coded.Coded(epochs=1),
):
    path = folder / "x.tflite"
    path.write_bytes(part.make(work))
    work.store(config.name_of(part)).clear()
    ops.append(facts.read_facts(path).ops)
print(json.dumps([found, ops]))
"""


def test_no_training_of_a_finisher_has_one_and_no_file_is_without(tmp_path):
    command = [sys.executable, "-c", FINISHING, str(tmp_path)]
    done = subprocess.run(command, check=True, timeout=300, stdout=subprocess.PIPE)
    actual, ops = json.loads(done.stdout.splitlines()[-1])
    assert actual == [[], [], [], [], []]
    for of_a_file in ops:
        assert not {"AVERAGE_POOL_2D", "STRIDED_SLICE"} & set(of_a_file)
