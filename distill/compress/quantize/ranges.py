"""Initializes the ranges of activations of TF-MOT's quantizers before training."""

import contextlib

import numpy as np
import tf_keras
from tensorflow_model_optimization.python.core.quantization.keras import (
    quantize_wrapper,
    quantizers,
)


def settle(model: tf_keras.Model, inputs: np.ndarray) -> None:
    """Sets each range of activations to that of some inputs.

    TF-MOT starts every range at [-6, 6] and moves it by a thousandth of the distance
    in each step. After some hundred steps, the ranges in the file would still be
    mostly TF-MOT's initial ones. Nothing else of the model changes.

    Args:
        model: A model that TF-MOT has wrapped; one without quantizers is not changed.
        inputs: Training examples.
    """
    wrappers = (quantize_wrapper.QuantizeWrapper,)
    if not any(isinstance(part, wrappers) for part in model.submodules):
        return
    # In training mode alone quantizers measure; norms then move their statistics
    # too, which are put back.
    before = [(variable, variable.numpy()) for variable in model.variables]
    with _measure_ranges() as ranges:
        model(inputs, training=True)
    for variable, value in before:
        if variable.ref() not in ranges:
            variable.assign(value)


@contextlib.contextmanager
def _measure_ranges():
    """Makes TF-MOT's moving averages take the last value; yields the changed ranges."""
    moving = quantizers.MovingAverageQuantizer
    average = moving.__call__
    changed = set()

    def measure(quantizer, inputs, training, weights, **options):
        changed.update(weights[name].ref() for name in ("min_var", "max_var"))
        return quantizers.LastValueQuantizer.__call__(
            quantizer, inputs, training, weights, **options
        )

    moving.__call__ = measure
    try:
        yield changed
    finally:
        moving.__call__ = average
