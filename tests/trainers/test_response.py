"""The losses are the papers' formulas."""

import numpy as np
import pytest
from keras import ops

from trainers.losses import response

RNG = np.random.default_rng(0)


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_kd_loss_is_the_divergence_of_the_paper(temperature):
    teacher, student = RNG.normal(size=(2, 5, 3)).astype("float32")
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    wanted = temperature**2 * (p * np.log(p / q)).sum(-1)

    got = response.kd_loss(teacher, student, temperature)

    # The square of the temperature multiplies what rounding leaves of near logits.
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=5e-7 * temperature**2)


def test_kd_loss_of_a_perfect_copy_is_zero():
    logits = RNG.normal(size=(5, 3)).astype("float32")
    assert np.all(ops.convert_to_numpy(response.kd_loss(logits, logits, 4.0)) == 0)


def test_kd_loss_does_not_see_a_constant_added_to_all_logits():
    teacher, student = RNG.normal(size=(2, 5, 3)).astype("float32")
    moved = response.kd_loss(teacher + 3, student - 7, 2.0)
    np.testing.assert_allclose(
        moved, response.kd_loss(teacher, student, 2.0), rtol=1e-4, atol=1e-6
    )


def test_a_very_unlikely_class_still_tells_how_unlikely():
    """Clipped probabilities would make both of these the same."""
    teacher = np.array([[0.0, 0.0]], "float32")
    near, far = (np.array([[0.0, -x]], "float32") for x in (40, 80))
    near, far = (float(response.kd_loss(teacher, x, 1.0)[0]) for x in (near, far))
    assert far == pytest.approx(2 * near, rel=0.05)


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_kd_loss_refuses_a_temperature_without_meaning(temperature):
    with pytest.raises(ValueError, match="`temperature` must be positive"):
        response.kd_loss(np.zeros((1, 2)), np.zeros((1, 2)), temperature)


def test_representation_loss_is_the_mean_squared_error_of_each_example():
    teacher, student = RNG.normal(size=(2, 5, 4, 4, 3)).astype("float32")
    wanted = ((teacher - student) ** 2).mean((1, 2, 3))
    got = response.representation_loss(teacher, student)
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_representation_loss_names_shapes_that_differ():
    with pytest.raises(ValueError, match=r"\(2, 4\) and \(2, 5\)"):
        response.representation_loss(np.zeros((2, 4)), np.zeros((2, 5)))
