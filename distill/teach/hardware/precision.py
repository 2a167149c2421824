"""Mixed precision during training, of which no saved file keeps a trace."""

import contextlib
from collections.abc import Iterator
from unittest import mock

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
            for patch in _keep_half(layer, layer.compute_dtype):
                stack.enter_context(patch)
        yield


def _keep_half(layer, half):
    """Patches with which a network takes inputs in half precision as they are.

    Keras converts them to the type of its inputs, float32, only for the first layer to
    convert them back: of a ResNet of nested sections, whole images in each section.

    Args:
        layer: A layer. Others than functional and sequential models are left alone.
        half: The type in which it computes.
    """
    # A sequential model converts by itself, then calls the functional one in it.
    network = getattr(layer, "_functional", layer)
    if not hasattr(network, "_convert_inputs_to_tensors"):
        return []
    convert = network._convert_inputs_to_tensors

    def keep(inputs):
        return [
            given if wanted.dtype == "float32" and _has_type(given, half) else converted
            # More inputs than the network has are Keras' to report.
            for given, converted, wanted in zip(
                inputs, convert(inputs), network._inputs, strict=False
            )
        ]

    patches = [mock.patch.object(network, "_convert_inputs_to_tensors", keep)]
    if network is not layer:
        patches.append(mock.patch.object(layer, "_convert_input_args", False))
    return patches


def _has_type(given, dtype):
    return (
        ops.is_tensor(given) and keras.backend.standardize_dtype(given.dtype) == dtype
    )
