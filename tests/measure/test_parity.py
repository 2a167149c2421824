"""The differences between a file and the model that it was made from."""

import numpy as np
import pytest

from distill.measure import parity


@pytest.mark.parametrize(("wrong", "most"), [(1, 0.25), (2, 9.0)])
def test_less_than_one_image_in_a_hundred_exceeds_most(monkeypatch, wrong, most):
    expected = np.zeros((200, 3), np.float32)
    expected[7, 1] = -40
    found = expected + 0.25
    found[:wrong, 2] = 9
    monkeypatch.setattr(parity, "predict", lambda file, images: found)

    def model(images, training):
        assert not training
        return {"logits": expected}

    compared = parity.compare(model, b"", np.zeros((200, 4)))
    assert compared["most"] == most
    assert (compared["max"], compared["scale"], compared["examples"]) == (9, 40, 200)
    mean = (0.25 * (600 - wrong) + 9 * wrong) / 600
    assert compared["mean"] == pytest.approx(mean, rel=1e-6)
