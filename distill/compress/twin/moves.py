"""Layers of tf_keras that only move or select values.

Their outputs have the scale of their inputs, also in eight bits.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from distill.compress.twin import counterparts


class Move(tf_keras.layers.Layer):
    """The base class of these layers."""

    def get_prunable_weights(self):
        """No weights; TF-MOT calls this on every layer that is not built in."""
        return []


class TopK(Move):
    """The twin of `keras.ops.top_k`: the largest values of the last axis.

    Args:
        k: Number of values, the largest first.
        **options: Options of every layer.
    """

    def __init__(self, k: int, **options):
        super().__init__(**options)
        self.k = k

    def call(self, inputs):
        """Values and their indices, each `(..., k)`."""
        return tf.math.top_k(inputs, self.k)

    def get_config(self):
        """The options that recreate the layer."""
        return {**super().get_config(), "k": self.k}


class Slice(Move):
    """The twin of `x[...]` with numbers, slices and an ellipsis.

    Args:
        key: One entry for each axis: a number, `[start, stop, step]`, or the text
            `...`, all of which JSON can hold.
        **options: Options of every layer.
    """

    def __init__(self, key: Sequence, **options):
        super().__init__(**options)
        self.key = list(key)

    def call(self, inputs):
        """The selected values."""
        return inputs[tuple(map(_entry, self.key))]

    def get_config(self):
        """The options that recreate the layer."""
        return {**super().get_config(), "key": self.key}


class Take(Move):
    """The twin of `keras.ops.take` with constant indices.

    Args:
        places: Indices along the axis; they may repeat.
        axis: The axis, counted from 0; not 0, that of the examples.
        **options: Options of every layer.
    """

    def __init__(self, places: Sequence[int], axis: int, **options):
        super().__init__(**options)
        self.places, self.axis = list(places), axis

    def call(self, inputs):
        """The values at these indices."""
        return tf.gather(inputs, self.places, axis=self.axis)

    def get_config(self):
        """The options that recreate the layer."""
        return {**super().get_config(), "places": self.places, "axis": self.axis}


def _entry(entry):
    if isinstance(entry, int):
        return entry
    return ... if entry == "..." else slice(*entry)


def slice_tensor(operation: Any, name: str, x: Any, key: Any) -> Any:
    """Calls the twin of `GetItem`.

    Raises:
        counterparts.Unmatched: If the key does not keep all examples, or has an entry
            that `Slice` cannot hold.
    """
    keys = key if isinstance(key, tuple | list) else [key]
    entries = [_plain(one) for one in keys]
    # A file has one example, so that a choice among examples cannot be converted. An
    # ellipsis keeps the first axis unless the other entries cover every axis.
    first, inner = entries[0], len(entries) - entries.count("...")
    if not (first == [None] * 3 or (first == "..." and inner < len(x.shape))):
        raise counterparts.Unmatched("it chooses among the examples")
    return Slice(entries, name=name)(x)


def _plain(entry):
    """An entry of a key as plain data."""
    if entry is ...:
        return "..."
    if isinstance(entry, slice):
        numbers = (entry.start, entry.stop, entry.step)
        return [None if number is None else int(number) for number in numbers]
    if isinstance(entry, int | np.integer):
        return int(entry)
    raise counterparts.Unmatched("it chooses by more than numbers and slices")


def take(operation: Any, name: str, x: Any, indices: Any) -> Any:
    """Calls the twin of `Take`.

    Raises:
        counterparts.Unmatched: If the axis is that of the examples or of unknown
            size, or the indices are no list.
    """
    axis, places = _inner(operation.axis, x), np.asarray(indices)
    if places.ndim != 1:
        raise counterparts.Unmatched("it takes values at other than a list of places")
    places = places.astype(int) % x.shape[axis]  # `tf.gather` has no negative ones.
    return Take(places.tolist(), axis, name=name)(x)


def split(operation: Any, name: str, x: Any) -> list:
    """Calls the twin of `Split`: a slice for each part.

    Raises:
        counterparts.Unmatched: If the axis is that of the examples or of unknown size.
    """
    axis = _inner(operation.axis, x)
    sections = operation.indices_or_sections
    size = x.shape[axis]
    ends = sections  # Indices, unless it is the number of equal parts.
    if isinstance(sections, int):
        ends = [size // sections * part for part in range(1, sections)]
    ends = [0, *map(int, ends), size]
    before = [[None, None, None]] * axis
    return [
        Slice([*before, [*pair, None]], name=f"{name}_part{number}")(x)
        for number, pair in enumerate(itertools.pairwise(ends))
    ]


def _inner(axis, x):
    """The axis counted from 0; refuses that of the examples and an unknown size."""
    axis = 0 if axis is None else axis % len(x.shape)
    if axis == 0 or x.shape[axis] is None:
        raise counterparts.Unmatched(
            "it needs an axis of a known size within an example"
        )
    return axis


KINDS = {kind.__name__: kind for kind in (TopK, Slice, Take)}
