"""Copies the weights of one Keras model, or layer, to another of the same layers."""

from __future__ import annotations

import typing

import numpy as np

if typing.TYPE_CHECKING:
    import keras


def copy_weights(source: keras.Layer, target: keras.Layer) -> None:
    """Gives a model or layer the weights of another with the same layers.

    Args:
        source: Built, of any depth.
        target: Likewise; changed in place.
    """
    # Not by `set_weights`: `Normalization` computes with what it made of its weights
    # when they were loaded.
    pairs = zip(source._flatten_layers(), target._flatten_layers(), strict=True)
    for one, other in pairs:
        weights: dict = {}
        one.save_own_variables(weights)
        # Numbers: on JAX, two variables would share an array, which training deletes.
        other.load_own_variables({key: np.array(w) for key, w in weights.items()})
