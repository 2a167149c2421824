"""Finishers that learn from unlabelled examples: from the teacher, and only from it."""

import pytest

# TF-MOT turns `tf.keras` into Keras 2 for a whole process: it gets one of its own.
CHILD = """
import dataclasses
import json
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

from distill import config
from distill.compress import training
from distill.compress.finishers import pruned
from distill.run import child

layers, results = keras.layers, {}
folder = pathlib.Path(sys.argv[1])
(folder / "checkpoint").mkdir()
options = "{train_examples: 120, unlabelled: {examples: 90}}"
run = config.load(
    "finish_resnet.yaml",
    [
        f"data.options={options}",
        "batch_size=36",
        "augmentation={}",
        "finish=[{name: pruned, options: {epochs: 1, labelled_share: 0.25}}]",
    ],
)


def network(seed):
    keras.utils.set_random_seed(seed)
    images = keras.Input((8, 8, 1), name="images")
    x = layers.Conv2D(4, 3, name="stem")(images)
    x = layers.GlobalAveragePooling2D(name="pool")(layers.ReLU()(x))
    return keras.Model(images, {"logits": layers.Dense(10, name="head")(x)})


network(0).save(folder / "student.keras")
network(1).save(folder / "teacher.keras")


def weights(material, part):
    work = child.open_workbench(run, folder)
    work._material = dataclasses.replace(work._material, splits=material)
    model = work.twin()
    training.fit(model, part, work._material, work.store("x"), training.Changes())
    work.store("x").clear()
    return [w.tolist() for w in model.get_weights()], model.history.history


splits = run.data.load()
(part,) = run.finish
reversed_pixels = splits.unlabelled.floats()[:, ::-1]
other = dataclasses.replace(
    splits,
    unlabelled=dataclasses.replace(splits.unlabelled, inputs=reversed_pixels),
)
alone = dataclasses.replace(part, labelled_share=1.0)
for name, kind in (
    ("taught", part),
    ("labels", dataclasses.replace(part, kd_weight=0.0)),
):
    first, second = (weights(some, kind) for some in (splits, other))
    results[name] = {"differ": first[0] != second[0], "history": first[1]}
ends = [weights(some, alone)[0] for some in (splits.labelled_alone, splits)]
results["without"] = ends[0] == ends[1]

targets = np.array([[3, 1, 2], [-1, 5, 6]], "float32")
logits = tf.constant(np.eye(2, 10, k=3), tf.float32)
metric = training._known(training.accuracy)(targets, logits)
term, _ = training._terms(part, True)
plain, _ = training._terms(alone, True)
results["accuracy"] = metric.numpy().tolist()
results["term"] = term(targets, logits).numpy().tolist()
results["plain"] = float(plain(targets[:1], logits[:1]).numpy()[0])
work = child.open_workbench(run, folder)
results["steps"] = [work.steps_per_epoch(each) for each in (part, alone)]
inputs, seen = next(work._material.stream("pruned", 0, 0.25))
taught = work._material.teacher(inputs)
results["targets"] = [int((seen[:, 0] < 0).sum()), bool((seen[:, 1:] == taught).all())]
print(json.dumps(results))
"""


def test_unlabelled_examples_teach_by_the_teacher_alone(results):
    assert results["taught"]["differ"]
    assert not results["labels"]["differ"]
    assert results["without"], "with a share of 1 it is the training without them"


def test_a_missing_label_is_in_no_loss_and_no_accuracy(results):
    assert results["accuracy"] == [2.0, 0.0], "right in the one that has a label"
    assert results["term"] == [pytest.approx(results["plain"]), 0.0]
    for name in ("taught", "labels"):
        assert 0 <= results[name]["history"]["accuracy"][-1] <= 1


def test_an_epoch_is_a_pass_over_the_labelled_examples(results):
    assert results["steps"] == [12, 3]  # 108 of 120, in batches of 9 and of 36.
    assert results["targets"] == [27, True]
