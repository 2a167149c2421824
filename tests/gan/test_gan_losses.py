"""Adversarial losses are the papers' formulas, and gradients are gradients."""

import numpy as np
import pytest
from keras import ops

from gan import gradients, losses

SCORES = np.array([-3.0, -0.5, 0.0, 0.7, 4.0], "float32")


def cross_entropy(scores, target):
    p = 1 / (1 + np.exp(-scores.astype("float64")))
    return -(target * np.log(p) + (1 - target) * np.log(1 - p))


REAL = {
    "non_saturating": cross_entropy(SCORES, 1),
    "hinge": np.maximum(0, 1 - SCORES),
    "least_squares": (SCORES - 1) ** 2,
    "wasserstein": -SCORES,
}
FAKE = {
    "non_saturating": cross_entropy(SCORES, 0),
    "hinge": np.maximum(0, 1 + SCORES),
    "least_squares": SCORES**2,
    "wasserstein": SCORES,
}
FOOLING = {**REAL, "hinge": -SCORES}


def test_every_kind_is_here():
    assert set(REAL) == set(losses.KINDS)


@pytest.mark.parametrize("kind", losses.KINDS)
@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (losses.real_loss, REAL),
        (losses.fake_loss, FAKE),
        (losses.fooling_loss, FOOLING),
    ],
)
def test_a_loss_is_the_formula_of_its_paper(loss, expected, kind):
    got = ops.convert_to_numpy(loss(SCORES, kind))
    np.testing.assert_allclose(got, expected[kind], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("non_saturating", cross_entropy(SCORES, 0.9)),
        ("least_squares", (SCORES - 0.9) ** 2),
    ],
)
def test_smoothing_lowers_the_target_of_what_is_real(kind, expected):
    got = ops.convert_to_numpy(losses.real_loss(SCORES, kind, 0.1))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_a_sure_discriminator_still_tells_how_sure():
    sure = np.array([60.0, 90.0], "float32")
    np.testing.assert_allclose(losses.fake_loss(sure, "non_saturating"), sure)
    np.testing.assert_allclose(losses.fooling_loss(-sure, "non_saturating"), sure)


@pytest.mark.parametrize(
    "loss", [losses.real_loss, losses.fake_loss, losses.fooling_loss]
)
def test_an_unknown_kind_is_named(loss):
    with pytest.raises(ValueError, match=r"`kind` must be one of .* Received: vanilla"):
        loss(SCORES, "vanilla")


def test_a_gradient_is_taken_at_each_input():
    x = np.arange(6, dtype="float32").reshape(2, 3)
    y = np.ones((2, 1), "float32")

    def function(inputs):
        a, b = inputs
        return ops.sum(a**3, axis=-1) + 2 * b[:, 0]

    inputs = [ops.convert_to_tensor(part) for part in (x, y)]
    values, (at_x, at_y) = gradients.with_gradient(function, inputs)

    np.testing.assert_allclose(ops.convert_to_numpy(values), (x**3).sum(-1) + 2)
    np.testing.assert_allclose(ops.convert_to_numpy(at_x), 3 * x**2)
    np.testing.assert_allclose(ops.convert_to_numpy(at_y), [[2], [2]])
    norms = gradients.squared_norm([at_x, at_y])
    np.testing.assert_allclose(
        ops.convert_to_numpy(norms), (9 * x**4).sum(-1) + 4, rtol=1e-6
    )


def test_a_gradient_may_be_differentiated_again():
    """The slope of (w x)^2 at x = 1 is 2 w^2; the slope of that in w is 4 w."""
    w = ops.convert_to_tensor(np.array([3.0], "float32"))
    x = ops.convert_to_tensor(np.ones((1, 1), "float32"))

    def slope(w):
        return gradients.with_gradient(lambda x: ops.square(w * x)[:, 0], x)[1][:, 0]

    value, gradient = gradients.with_gradient(slope, w)
    np.testing.assert_allclose(ops.convert_to_numpy(value), [18.0])
    np.testing.assert_allclose(ops.convert_to_numpy(gradient), [12.0])


def test_scores_without_a_zero_are_told_apart_by_their_mean():
    real, fake = np.array([7.0, 9.0], "float32"), np.array([3.0, 5.0], "float32")
    assert float(losses.middle(real, fake, "wasserstein")) == 6
    assert losses.middle(real, fake, "least_squares") == 0.5
    assert losses.middle(real, fake, "hinge") == 0
