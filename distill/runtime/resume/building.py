"""Builds all variables of a training before a moment is restored into them."""

from collections.abc import Sequence
from typing import Any


def build(model: Any, batch: Sequence) -> None:
    """Makes metrics and optimizer create their variables.

    Before that they have none, and `fit` would give them other names.

    Args:
        model: Compiled; of Keras 3 or of tf_keras.
        batch: Arguments of its `test_on_batch`.
    """
    import keras

    from trainers import tracking

    # Eagerly on TensorFlow, where tracing a step takes several times as long as one
    # step. JAX would compile each operation by itself, and replicas refuse eager mode.
    alone = keras.backend.backend() == "tensorflow" and tracking.replicas() == 1
    untraced = alone and model.test_function is None
    eager = model.run_eagerly
    model.run_eagerly = untraced or eager
    try:
        model.test_on_batch(*batch)
    finally:
        model.run_eagerly = eager
        if untraced:
            model.test_function = None  # So that `fit` traces its own.
    if not getattr(model.optimizer, "built", False):
        model.optimizer.build(model.trainable_variables)
