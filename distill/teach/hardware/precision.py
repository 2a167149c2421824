"""Mixed precision during training, of which no saved file keeps a trace."""

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def scope(model: keras.Model, policy: str) -> Iterator[None]:
    """A context in which all layers of a model compute with a dtype policy.

    The weights keep their type. Layers with another policy than Keras' `float32` keep
    theirs.

    Args:
        model: A built model. Functions that are traced inside the context must not be
            used outside.
        policy: Name of the policy, such as `mixed_bfloat16`.
    """
    float32 = keras.DTypePolicy("float32")
    layers = [
        layer
        for layer in model._flatten_layers()
        if policy != float32.name and layer.dtype_policy == float32
    ]
    try:
        for layer in layers:
            layer.dtype_policy = policy
        yield
    finally:
        for layer in layers:
            layer.dtype_policy = float32
