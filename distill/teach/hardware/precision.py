"""Mixed precision during training, of which no saved file keeps a trace."""

import contextlib
from collections.abc import Iterator

import keras
from keras import ops


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
    with contextlib.ExitStack() as stack:
        for layer in layers:
            layer.dtype_policy = policy
            stack.callback(setattr, layer, "dtype_policy", float32)
            if hasattr(layer, "_convert_inputs_to_tensors"):
                stack.enter_context(_keeping_type_of_inputs(layer))
        yield


@contextlib.contextmanager
def _keeping_type_of_inputs(network):
    """A context in which a functional model takes inputs in its own type as they are.

    Keras converts them to the type of its inputs, float32, only for the first layer to
    convert them back: of a ResNet of nested sections, whole images in each section.
    """
    convert = network._convert_inputs_to_tensors

    def keep(inputs):
        return [
            given if _has_type(given, network.compute_dtype) else converted
            for given, converted in zip(inputs, convert(inputs), strict=True)
        ]

    network._convert_inputs_to_tensors = keep
    try:
        yield
    finally:
        del network._convert_inputs_to_tensors


def _has_type(given, dtype):
    return (
        ops.is_tensor(given) and keras.backend.standardize_dtype(given.dtype) == dtype
    )
