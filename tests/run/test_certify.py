"""A certificate is made of the file itself, true labels, and all that was chosen."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from taught import taught

import students
from distill import config, data
from distill.compress import convert
from distill.compress.finishers.nary import Nary
from distill.measure import codec
from distill.measure.codec import certificate
from distill.run.evaluation import certify

TRAIN = data.DATASETS["digits"](train_examples=300).load().train


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    images = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, 2, activation="relu")(images)
    x = keras.layers.Dense(10)(keras.layers.Flatten()(x))
    network = taught(keras.Model(images, {"logits": x}), TRAIN)
    path = tmp_path_factory.mktemp("made") / "student.nary.tflite"
    path.write_bytes(convert.to_tflite(network, "float32"))
    return path


def test_the_error_is_that_of_the_file_on_labels_whatever_a_teacher_says(file):
    found = certify.certify(file, TRAIN, "", 1)
    assert 0 < found["training_error"] < 50
    assert found["examples"] == len(TRAIN.labels)
    rng = np.random.default_rng(0)
    shuffled = dataclasses.replace(TRAIN, labels=rng.permutation(TRAIN.labels))
    assert certify.certify(file, shuffled, "", 1)["training_error"] > 80


def test_examples_are_counted_once_in_however_many_parts(file, monkeypatch):
    whole = certify.certify(file, TRAIN, "", 1)
    monkeypatch.setattr(certify, "_READ", 7)
    assert certify.certify(file, TRAIN, "", 1) == whole


def test_whatever_was_chosen_is_paid_for(file):
    bits = certify.certify(file, TRAIN, "", 1)["bits"]
    numbers = codec.description_bits(file.read_bytes())
    assert numbers + 64 <= bits < numbers + 64 + 100
    assert certify.certify(file, TRAIN, "", 1024)["bits"] == bits + 10
    longer = certify.certify(file, TRAIN, "".join(map(chr, range(33, 97))), 1)
    assert bits + 8 * 40 < longer["bits"] < bits + 8 * 80


def test_its_bound_is_that_of_its_numbers(file):
    found = certify.certify(file, TRAIN, "", 1)
    error = found["training_error"] / 100
    expected = certificate.bound(error, found["bits"], found["examples"])
    assert found["bound"] == pytest.approx(100 * expected, abs=1e-6)
    most = np.bincount(TRAIN.labels).max() / len(TRAIN.labels)
    assert found["guessing"] == pytest.approx(100 * (1 - most))
    # As on digits always: a float network against 300 examples.
    assert found["vacuous"] and found["bound"] > 99
    assert found["allowed_bytes"] < found["bits"] / 8
    json.dumps(found)


def test_a_network_is_described_by_its_options_if_they_make_it(tmp_path):
    run = config.load("kd_resnet.yaml")
    wide = dataclasses.replace(run, student=students.ResNet(depth=8, width=4))
    text = certify.describe_options(wide, Nary(levels=3), None)
    name, options = json.loads(text)[0]
    assert (name, options) == ("resnet", {"depth": 8, "width": 4})
    assert json.loads(text)[1] == ["nary", {"levels": 3}]
    # How long, how fast and on what it trained: the numbers need no such description.
    trained = Nary(levels=3, epochs=77, learning_rate=0.5, kd_weight=0.25)
    assert certify.describe_options(wide, trained, None) == text
    # A path names a file, and says nothing of the network in it.
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="odd")])
    network.save(tmp_path / "student.keras")
    given = students.KerasFile(path=str(tmp_path / "student.keras"))
    foreign = dataclasses.replace(run, student=given)
    assert "odd" in certify.describe_options(foreign, Nary(), network)
