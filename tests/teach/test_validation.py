"""Stages validate in large batches, and what they say does not depend on these."""

import dataclasses

import keras
import numpy as np
import pytest

import students
import trainers
from distill import config
from distill.data import batches
from distill.teach import fit as teach_fit
from distill.teach import stages
from distill.teach.cache import layout, store
from distill.teach.hardware import feeding
from distill.teach.workspace import Workspace
from trainers import trainer

RUN = config.load(
    "lit_resnet.yaml",
    [
        "data.options={train_examples: 63, validation_fraction: 0.35, "
        "validation_examples: null, test_fraction: 0.5}",
        "batch_size=4",
        "teacher.network={name: lenet}",
        "student={name: lenet}",
        "stages=[{trainer: {name: kd}, epochs: 1}, {trainer: {name: dist}, epochs: 1}]",
        "controls=[]",
        "finish=[]",
        "augmentation={}",
        "teacher.cache={}",
    ],
)
SIZES = {"kd": 16, "dist": 4}  # `dist` compares the examples of a batch.


@pytest.fixture(scope="module")
def splits():
    return RUN.data.load()


@pytest.fixture(scope="module")
def teacher():
    return students.LeNet().build((8, 8, 1), 10)


def test_a_batch_of_validation_is_a_few_of_training():
    for size in range(1, 600):
        found = batches.validation_size(size)
        assert found % size == 0  # Devices divide it as they divide a training batch.
        assert found <= 4 * size and found <= max(256, size)
        assert found + size > min(4 * size, 256)  # As many as these two let.
        assert batches.validation_size(size, related=True) == size


def test_validation_has_every_example_once_in_order(splits):
    split = splits.validation
    options, _ = feeding.validation(split, 16)
    found = list(options["validation_data"].as_numpy_iterator())
    assert len(split.labels) % 16 and len(found) == -(-len(split.labels) // 16)
    for part, whole in enumerate((split.floats(), split.labels)):
        np.testing.assert_array_equal(np.concatenate([b[part] for b in found]), whole)


@pytest.mark.parametrize("method", [trainers.KD(), trainers.LIT(kd_weight=0.5)])
def test_what_validation_says_does_not_depend_on_the_batches(method, teacher, splits):
    """Not even where the last one is smaller, which then counts for less."""
    learner = trainer.Trainer(
        student=students.LeNet().build((8, 8, 1), 10), method=method, teacher=teacher
    )
    learner.compile(
        optimizer="sgd", loss=keras.losses.SparseCategoricalCrossentropy(True)
    )
    whole, parts = (
        learner.evaluate(
            splits.validation.floats()[:9],
            splits.validation.labels[:9],
            batch_size=size,
            verbose=0,
            return_dict=True,
        )
        for size in (9, 8)
    )
    assert parts == pytest.approx(whole, rel=1e-5)
    assert {"task_loss", "kd_loss", "regularization_loss"} < set(whole)


@pytest.mark.parametrize("index", [0, 1])
def test_kept_and_live_teachers_are_asked_in_the_same_batches(
    index, splits, teacher, tmp_path, monkeypatch
):
    stage = RUN.stages[index]
    size = SIZES[stage.name]
    live = dataclasses.replace(
        RUN, teacher=dataclasses.replace(RUN.teacher, cache=None)
    )

    def validation(split, batch_size):
        assert batch_size == size
        raise KeyboardInterrupt

    monkeypatch.setattr(teach_fit.feeding, "validation", validation)
    with pytest.raises(KeyboardInterrupt):
        stages.train(
            "student", [stage], Workspace(live, splits, tmp_path / "a"), teacher=teacher
        )
    asked = []
    pack = layout.Layout.pack
    monkeypatch.setattr(
        layout.Layout,
        "pack",
        lambda self, said: asked.append(len(said["logits"])) or pack(self, said),
    )

    def obtain(stage):
        work = Workspace(RUN, splits, tmp_path / "b")
        source = stages.build_batches(work, stage, 0, teacher=teacher, generator=None)
        options = RUN.teacher.cache
        return store.obtain(work, source, stage, (teacher, teacher), options)[1]

    kept = obtain(stage)
    training = [4] * -(-len(splits.train.labels) // 4)
    validated = [size] * -(-len(splits.validation.labels) // size)
    assert asked == training + validated
    assert len(kept[0][1]) == size
    # The other stage shares the answers to training examples alone.
    asked.clear()
    other = RUN.stages[1 - index]
    obtain(other)
    size = SIZES[other.name]
    assert asked == [size] * -(-len(splits.validation.labels) // size)
    asked.clear()
    obtain(stage)
    assert asked == []  # What the one keeps, the other does not take for damaged.
