"""Half precision for as long as one trains, and not a trace of it in any file."""

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def scope(model: keras.Model, policy: str) -> Iterator[None]:
    """Lets the layers of a model, at every depth, compute by a policy.

    Their weights stay what they are. Layers that have a policy other than Keras'
    `float32` keep it.

    Args:
        model: Built. Functions traced inside must not be used outside.
        policy: Such as `mixed_bfloat16`.
    """
    plain = keras.DTypePolicy("float32")
    layers = [
        layer
        for layer in model._flatten_layers()
        if policy != plain.name and layer.dtype_policy == plain
    ]
    try:
        for layer in layers:
            layer.dtype_policy = policy
        yield
    finally:
        for layer in layers:
            layer.dtype_policy = plain
