"""Before the first step a stage is built op by op, for speed; all else is compiled."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from distill.runtime.resume import checkpoint, resume

EPOCHS = 4
BATCH = np.ones((4, 3), "float32"), np.ones((4, 1), "float32")


@pytest.fixture(params=[keras, tf_keras], ids=["keras", "tf_keras"])
def fit_model(request, tmp_path):
    """Fits a compiled model; returns it, and for each call whether it was eager."""

    def train(broken=(), **options):
        eager = []

        class Noted(request.param.layers.Dense):
            def call(self, inputs):
                eager.append(tf.executing_eagerly())
                if tf.executing_eagerly() and broken:
                    raise broken.pop()
                return super().call(inputs)

        inputs = request.param.Input((3,))
        model = request.param.Model(inputs, Noted(1)(inputs))
        eager.clear()
        model.compile("sgd", "mse", metrics=["mae"], **options)

        def fit():
            resume.fit(
                model,
                resume.Source(2, lambda step: (BATCH for _ in itertools.count())),
                callback=request.param.callbacks.Callback,
                epochs=EPOCHS,
                store=checkpoint.Store(tmp_path, "stage"),
                variables=lambda: model.trainable_variables,
                validation_data=BATCH,
                shuffle=False,
                verbose=0,
            )

        return model, eager, fit

    return train


def test_a_step_that_builds_is_eager_and_no_other(fit_model):
    _, eager, fit = fit_model()
    fit()
    assert eager[0] and not any(eager[1:])
    assert len(eager) < EPOCHS, "traced, not called in each epoch"


def test_who_asks_for_eager_steps_gets_them(fit_model):
    model, eager, fit = fit_model(run_eagerly=True)
    fit()
    assert model.run_eagerly and all(eager) and len(eager) > 2 * EPOCHS


def test_after_an_error_the_model_is_as_it_was(fit_model):
    _, eager, fit = fit_model(broken=[MemoryError()])
    with pytest.raises(MemoryError):
        fit()
    fit()
    assert eager[:2] == [True, True] and not any(eager[2:])
