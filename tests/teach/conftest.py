"""The digits of which `answering.run` teaches."""

import answering
import pytest

from distill import config


@pytest.fixture(scope="module")
def digits():
    return config.load("lit_resnet.yaml", answering.SMALL).data


@pytest.fixture(scope="module")
def splits(digits):
    return digits.load()
