"""Converts a network to a `.tflite` file."""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

from distill.compress import ends
from distill.runtime import quiet

# The variants that need neither data nor further training.
FORMATS = ("float32", "float16", "dynamic_int8")
_FOR_GPU = "_could_use_gpu_kernel"


def to_tflite(
    model: Any, variant: str, calibration: Any = None, io: str = "float32"
) -> bytes:
    """Converts a model.

    Args:
        model: A built Keras 3 or tf_keras model. If it returns a dict with
            `"logits"`, these are the only output of the file; else the file has all
            outputs of the model.
        variant: `float32`, `float16`, `dynamic_int8`; for a model of TF-MOT or of our
            own engine also `int8`, `pruned`; with `calibration` also `int8`,
            `int16x8`.
        calibration: Real images, float32, `(n, height, width, channels)`, that set
            the ranges of activations.
        io: Type of images and outputs of an `int8` file: `float32`; or `int8`,
            `uint8`, by the scale and zero point in the file. Ids are always int32.

    Returns:
        The file's bytes. Its input is one image `(1, height, width, channels)`, which
        may be resized to a batch, or one text `(1, length)`. Several inputs or
        outputs keep the model's order and names.
    """
    import tensorflow as tf

    def answer(given):
        given = tf.nest.pack_sequence_as(model.input, tf.nest.flatten(given))
        return ends.select_outputs(model, model(given, training=False))

    # The concrete function and not the Keras model: its batch size is fixed, so that
    # no shape arithmetic is left in the file, and no copy is written to disk.
    shapes = [
        tf.TensorSpec((1, *given.shape[1:]), tf.as_dtype(given.dtype), name=name)
        for given, name in zip(model.inputs, ends.input_names(model), strict=True)
    ]
    with _convertible(model, calibrated=calibration is not None):
        function = tf.function(answer).get_concrete_function(
            shapes if len(shapes) > 1 else shapes[0]
        )
    # The converter finds variables by way of a trackable object. TensorFlow does not
    # see those of a Keras 3 model, so a module holds them.
    holder = tf.Module()
    holder.kept = function.variables
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
    # EXPERIMENTAL_SPARSITY encodes kernels sparse; DEFAULT quantizes weights.
    if variant == "pruned":
        converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    elif variant != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if variant == "int16x8":
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        ]
    if calibration is not None:
        converter.representative_dataset = lambda: (
            [image[None]] for image in calibration
        )
    _set_types(converter, io, shapes)
    with quiet.native():
        file = converter.convert()
    return ends.restore_names(file, model)


@contextlib.contextmanager
def _convertible(model: Any, *, calibrated: bool) -> Iterator[None]:
    """Gives recurrent layers a form of which the converter makes a sound file.

    TFLite's calibrator crashes on a loop (SIGSEGV), so there it is unrolled. And an
    LSTM of tf_keras stays a loop, as one of Keras 3 is: in its form for a GPU the
    converter finds TFLite's LSTM op, whose state outlives a call, so that the answer to
    an example would depend on the example before.
    """
    with contextlib.ExitStack() as stack:
        for layer in model._flatten_layers():
            if calibrated and hasattr(layer, "unroll"):
                stack.enter_context(mock.patch.object(layer, "unroll", True))
            if type(layer).__name__ == "LSTM" and hasattr(layer, _FOR_GPU):
                stack.enter_context(mock.patch.object(layer, _FOR_GPU, False))
        yield


def _set_types(converter, io, shapes):
    """Sets the types of inputs and outputs; ids stay int32."""
    import tensorflow as tf

    if io == "float32":
        return
    # The converter has one type for all inputs: with ids among them, it is not set.
    converter.inference_output_type = tf.as_dtype(io)
    if not any(shape.dtype.is_integer for shape in shapes):
        converter.inference_input_type = tf.as_dtype(io)
