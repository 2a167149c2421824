"""What stands for the training examples has some of every class."""

import numpy as np
import pytest

from distill import data
from distill.compress import material
from distill.data import augmentation


@pytest.fixture
def given(tmp_path):
    labels = np.repeat(np.arange(3), 400)  # As they are read: class by class.
    inputs = np.column_stack([labels, np.arange(1200)]).astype("float32")
    split = data.Split(inputs, labels)
    return material.Material(
        folder=tmp_path,
        splits=data.Splits(split, split, split),
        batch_size=8,
        seed=0,
        augmentation=augmentation.Augmentation(),
        kind="images",
        classes=("a", "b", "c"),
    )


def test_checks_calibration_and_ranges_see_every_class(given):
    for seen in (
        given.check_inputs,
        given.calibration(30),
        given.augmented_sample("int8"),
    ):
        assert set(seen[:, 0]) == {0, 1, 2}


def test_each_purpose_draws_its_own(given):
    one, other = (given.sample(30, name).inputs for name in ("checked", "layers"))
    assert len(one) == len(other) == 30
    assert not np.array_equal(one, other)
