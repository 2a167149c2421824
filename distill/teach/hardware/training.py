"""How a model computes while it trains."""

import contextlib
from collections.abc import Iterator

import keras

from distill.teach.hardware import fused, precision


@contextlib.contextmanager
def scope(model: keras.Model, policy: str) -> Iterator[None]:
    """A context in which a model computes as in training: norms fused, in a precision.

    Args:
        model: A built model; see `precision.scope` and `fused.for_training`.
        policy: Name of the dtype policy, such as `mixed_bfloat16`.
    """
    with precision.scope(model, policy), fused.for_training(model):
        yield
