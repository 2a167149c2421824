"""A small teacher of the digits in every form, and runs that learn from it."""

import dataclasses

import keras
import numpy as np
from keras import layers
from taught import taught

from distill import config

SMALL = [
    "data.options={train_examples: 63, validation_fraction: 0.3, test_fraction: 0.5}",
    "batch_size=16",
    "student={name: lenet}",
    "stages=[{trainer: {name: kd}, epochs: 2, learning_rate: 0.01}]",
    "controls=[]",
    "finish=[]",
    "augmentation={}",
]
CLASSES, SIDE = 10, 8


def run(form, path, *more):
    """A run whose teacher only answers; `more` are assignments as of `--set`."""
    return config.load(
        "lit_resnet.yaml", [*SMALL, f"teacher={{{form}: {path}}}", *more]
    )


def network(split, order=slice(None)):
    """A `keras.Model` that knows the digits; a dense layer, its classes in an order."""
    images = keras.Input((SIDE, SIDE, 1))
    head = layers.Dense(CLASSES, name="answer")
    model = keras.Model(images, head(layers.Flatten()(images)))
    weights = taught(model, split).get_weights()
    head.set_weights([weight[..., order] for weight in weights])
    return model


def weights_of(model):
    """Kernel and bias of `network`."""
    return model.get_layer("answer").get_weights()


def answer(model, images):
    """Its logits, by NumPy."""
    kernel, bias = weights_of(model)
    return images.reshape(len(images), -1) @ kernel + bias


def save_answers(path, model, splits_of, **more):
    """Writes its answers to the data set's own training examples."""
    examples = splits_of._examples().train.floats()
    arrays = {"train.logits": answer(model, examples), **more}
    np.savez(path, **arrays)
    return path


def save_onnx(path, model, channels_first=False):
    """Writes it as an ONNX model; with its channels first, of one channel."""
    from onnx import TensorProto, helper, numpy_helper, save

    kernel, bias = weights_of(model)
    shape = ("n", 1, SIDE, SIDE) if channels_first else ("n", SIDE, SIDE, 1)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["images"], ["flat"]),
            helper.make_node("Gemm", ["flat", "kernel", "bias"], ["scores"]),
        ],
        "teacher",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ("n", CLASSES))],
        [
            numpy_helper.from_array(kernel, "kernel"),
            numpy_helper.from_array(bias, "bias"),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


def save_tflite(path, model):
    """Writes it as a `.tflite` file."""
    from distill.compress import convert

    named = keras.Model(model.inputs, {"logits": model.output})
    path.write_bytes(convert.to_tflite(named, "float32"))
    return path


def save_saved_model(path, model):
    """Writes it as a SavedModel."""
    model.export(path, verbose=False)
    return path


def with_teacher(made, **options):
    """The run with other options of its teacher."""
    teacher = dataclasses.replace(made.teacher, **options)
    return dataclasses.replace(made, teacher=teacher)
