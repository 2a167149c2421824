"""Layers of tf_keras that move or choose values, and compute nothing.

What they make needs no other scale than what they are given, also in eight bits.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from distill.compress.twin import counterparts


class Move(tf_keras.layers.Layer):
    """Any of them."""

    def get_prunable_weights(self):
        """None: TF-MOT asks each layer that it does not know."""
        return []


class TopK(Move):
    """The twin of `keras.ops.top_k`: the largest values of the last axis, and where.

    Args:
        k: How many, the largest first.
        **options: Of every layer.
    """

    def __init__(self, k: int, **options):
        super().__init__(**options)
        self.k = k

    def call(self, inputs):
        """Values and places, `(..., k)` each."""
        return tf.math.top_k(inputs, self.k)

    def get_config(self):
        """What makes the same layer again."""
        return {**super().get_config(), "k": self.k}


class Slice(Move):
    """The twin of `x[...]` with numbers, slices and an ellipsis.

    Args:
        key: An entry an axis: a number, `[start, stop, step]`, or `...` as a word.
        **options: Of every layer.
    """

    def __init__(self, key: Sequence, **options):
        super().__init__(**options)
        self.key = list(key)

    def call(self, inputs):
        """What the key chooses."""
        return inputs[tuple(map(_entry, self.key))]

    def get_config(self):
        """What makes the same layer again."""
        return {**super().get_config(), "key": self.key}


class Take(Move):
    """The twin of `keras.ops.take` at places that are known.

    Args:
        places: Along the axis, as many and as often as wanted.
        axis: Counted from 0, and not 0.
        **options: Of every layer.
    """

    def __init__(self, places: Sequence[int], axis: int, **options):
        super().__init__(**options)
        self.places, self.axis = list(places), axis

    def call(self, inputs):
        """What stands at these places."""
        return tf.gather(inputs, self.places, axis=self.axis)

    def get_config(self):
        """What makes the same layer again."""
        return {**super().get_config(), "places": self.places, "axis": self.axis}


def _entry(one):
    if isinstance(one, int):
        return one
    return ... if one == "..." else slice(*one)


def sliced(operation: Any, name: str, x: Any, key: Any) -> Any:
    """The twin of `GetItem`, called; the first axis has to be left whole.

    Raises:
        counterparts.Unmatched: Also below, where there is none.
    """
    entries = [
        _written(one) for one in (key if isinstance(key, tuple | list) else [key])
    ]
    first, inner = entries[0], len(entries) - entries.count("...")
    if not (first == [None] * 3 or (first == "..." and inner < len(x.shape))):
        raise counterparts.Unmatched("it chooses among the examples")
    return Slice(entries, name=name)(x)


def _written(one):
    if one is ...:
        return "..."
    if isinstance(one, slice):
        return [
            None if end is None else int(end) for end in (one.start, one.stop, one.step)
        ]
    if isinstance(one, int | np.integer):
        return int(one)
    raise counterparts.Unmatched("it chooses by more than numbers and slices")


def taken(operation: Any, name: str, x: Any, indices: Any) -> Any:
    """The twin of `Take`, called."""
    axis, places = _inner(operation.axis, x), np.asarray(indices)
    if places.ndim != 1:
        raise counterparts.Unmatched("it takes values at other than a list of places")
    places = places.astype(int) % x.shape[axis]
    return Take(places.tolist(), axis, name=name)(x)


def split(operation: Any, name: str, x: Any) -> list:
    """The twin of `Split`, called: a slice for each part."""
    axis = _inner(operation.axis, x)
    at = operation.indices_or_sections
    size = x.shape[axis]
    ends = [size // at * part for part in range(1, at)] if isinstance(at, int) else at
    ends = [0, *map(int, ends), size]
    before = [[None, None, None]] * axis
    return [
        Slice([*before, [*pair, None]], name=f"{name}_part{number}")(x)
        for number, pair in enumerate(itertools.pairwise(ends))
    ]


def _inner(axis, x):
    """An axis of each example, counted from 0; its size must be known."""
    axis = 0 if axis is None else axis % len(x.shape)
    if axis == 0 or x.shape[axis] is None:
        raise counterparts.Unmatched(
            "it needs an axis of a known size within an example"
        )
    return axis


KINDS = {kind.__name__: kind for kind in (TopK, Slice, Take)}
