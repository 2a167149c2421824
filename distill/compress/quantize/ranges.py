"""Ranges of activations, measured before training with simulated quantization."""

import contextlib

import numpy as np
import tf_keras
from tensorflow_model_optimization.python.core.quantization.keras import (
    quantize_wrapper,
    quantizers,
)


def settle(model: tf_keras.Model, inputs: np.ndarray) -> None:
    """Sets each range of activations to what these inputs need.

    TF-MOT starts every one at [-6, 6] and moves it by a thousandth of the way a
    step: a training of some hundred steps would end, and ship, ranges that are
    mostly TF-MOT's own. Nothing else of the model changes.

    Args:
        model: What TF-MOT wrapped; one without quantizers is left alone.
        inputs: Training examples.
    """
    wrappers = (quantize_wrapper.QuantizeWrapper,)
    if not any(isinstance(part, wrappers) for part in model.submodules):
        return
    before = [(variable, variable.numpy()) for variable in model.variables]
    with _measuring() as ranges:
        model(inputs, training=True)
    for variable, value in before:
        if variable.ref() not in ranges:
            variable.assign(value)


@contextlib.contextmanager
def _measuring():
    """Moving ranges go all the way while this lasts; yields who has moved."""
    averaged = quantizers.MovingAverageQuantizer
    average = averaged.__call__
    moved = set()

    def measure(quantizer, inputs, training, weights, **options):
        moved.update(weights[name].ref() for name in ("min_var", "max_var"))
        return quantizers.LastValueQuantizer.__call__(
            quantizer, inputs, training, weights, **options
        )

    averaged.__call__ = measure
    try:
        yield moved
    finally:
        averaged.__call__ = average
