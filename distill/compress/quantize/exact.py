"""Stores a float file's kernels in eight bits, those on levels by their exact codes."""

from collections.abc import Sequence

import numpy as np

from distill.runtime import tflite
from distill.runtime.trust import provenance

_EXACT = 1e-5  # Rounding of a norm that the converter folds into a kernel.


def store(file: bytes, kernels: Sequence[np.ndarray]) -> bytes:
    """Stores kernels in eight bits; activations are then quantized at run time.

    Scales and biases are rounded to the first 16 bits of a float32: a scale then
    differs by at most 0.4 %, and packed takes half as many bytes.

    Args:
        file: A `.tflite` file in float32.
        kernels: The codes of those kernels whose entries are multiples of one number in
            each output channel, int8, output channels first. In the file these have
            these codes; all others the nearest of 255 steps.

    Returns:
        The file.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_quantizer import quantizer, recipe

    worker = quantizer.Quantizer(bytearray(file), recipe.dynamic_wi8_afp32())
    made = bytes(worker.quantize(enable_progress_report=False).quantized_model)
    model, floats = tflite.unpack(made), _read_floats(tflite.unpack(file), schema)
    for tensor in (tensor for graph in model.subgraphs for tensor in graph.tensors):
        if tensor.type == schema.TensorType.INT8 and tensor.name in floats:
            values = floats[tensor.name]
            found = _find_codes(values, kernels)
            # Of a whole tensor, one scale would not do.
            if found is not None and len(tensor.quantization.scale) == len(values):
                codes, tensor.quantization.scale = found
                model.buffers[tensor.buffer].data = codes.view(np.uint8).ravel()
    _shorten(model, schema)
    return provenance.packed(model, len(made))


def _shorten(model, schema):
    """Rounds the scales and biases of an unpacked file."""
    for tensor in (tensor for graph in model.subgraphs for tensor in graph.tensors):
        scales = tensor.quantization and tensor.quantization.scale
        if scales is not None:
            tensor.quantization.scale = round_floats(np.asarray(scales, np.float32))
        is_constant = _is_float_constant(tensor, model.buffers, schema)
        if is_constant and len(tensor.shape) == 1:
            rounded = round_floats(_floats(model.buffers[tensor.buffer]))
            model.buffers[tensor.buffer].data = rounded.view(np.uint8)


def _read_floats(model, schema):
    """Name of each float constant to its values."""
    return {
        tensor.name: _floats(model.buffers[tensor.buffer]).reshape(tensor.shape)
        for graph in model.subgraphs
        for tensor in graph.tensors
        if _is_float_constant(tensor, model.buffers, schema)
    }


def _is_float_constant(tensor, buffers, schema):
    data = buffers[tensor.buffer].data
    is_float = tensor.type == schema.TensorType.FLOAT32
    return is_float and data is not None and len(data) > 0


def _floats(buffer):
    return np.frombuffer(bytes(buffer.data), np.float32)


def _find_codes(values, kernels):
    """The codes of a kernel, and the scale of each channel; None if it has none."""
    for codes in kernels:
        if len(codes) == len(values) and codes.size == values.size:
            flat = codes.reshape(len(codes), -1).astype(np.float64)
            scales = _fit_scales(values.reshape(flat.shape), flat)
            if scales is not None:
                # The converter has folded a norm in, whose factors may be negative, or
                # zero, as all weights of a kernel may be: any codes fit these.
                exact = (np.sign(scales)[:, None] * flat).astype(np.int8)
                return exact, np.where(scales == 0, 1, abs(scales)).astype(np.float32)
    return None


def _fit_scales(values, codes):
    """The number that multiplies the codes of each channel; None if there is none."""
    squares = (codes**2).sum(1)
    scales = (values * codes).sum(1) / np.maximum(squares, 1)
    errors = abs(values - scales[:, None] * codes).max(1)
    return scales if (errors <= _EXACT * abs(values).max(1)).all() else None


def round_floats(values: np.ndarray) -> np.ndarray:
    """Rounds float32 to the nearest numbers whose last 16 bits are zero."""
    bits = values.view(np.uint32).astype(np.uint64)
    return ((bits + 0x8000) & 0xFFFF0000).astype(np.uint32).view(np.float32)
