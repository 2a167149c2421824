"""Sets the codes of a file's kernels to the bin numbers that were trained."""

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from distill.compress.finishers import four_bits
from distill.compress.quantize import bins, levels
from distill.runtime.trust import provenance


def encode(file: bytes, kernels: Sequence[levels.Kernel]) -> bytes:
    """Stores the kernels of a float file in eight bits, as their bin numbers.

    A norm that was folded into a kernel has multiplied each channel by a factor f, so
    that its weights are k D f. Their codes are the bin numbers k, or -k where f is
    negative, and the scale of the channel is D |f|. The quantizer alone would make them
    127 k / max|k|: other numbers in every channel, and larger ones.

    Unlike the converter's `dynamic_int8`, this leaves no small kernel in float.

    Args:
        file: A `.tflite` file in float32.
        kernels: The trained kernels. Another kernel of the file is stored as the
            quantizer does it.
    """
    file = four_bits.quantize(file, "dynamic_wi8_afp32")
    packed = schema.ModelT.InitFromPackedBuf(file, 0)
    trained = [_by_channel(kernel) for kernel in kernels]
    for graph in packed.subgraphs:
        for tensor in graph.tensors:
            buffer = packed.buffers[tensor.buffer]
            if tensor.type == schema.TensorType.INT8 and buffer.data is not None:
                _recode(tensor, buffer, trained)
    return provenance.packed(packed, len(file))


def _recode(tensor, buffer, trained):
    """Sets codes and scales of a tensor if they are those of a trained kernel."""
    found = np.asarray(buffer.data).view(np.int8).reshape(tensor.shape[0], -1)
    scales = np.asarray(tensor.quantization.scale)
    for wanted in trained:
        if wanted.shape != found.shape:
            continue
        axis = 1 if len(scales) == len(wanted) else None
        most = np.abs(wanted).max(axis, keepdims=True)
        codes = np.rint(found * (most / bins.MOST)).astype(np.int8)
        if _are_equal(codes, wanted):
            buffer.data = codes.reshape(-1).view(np.uint8)
            changed = scales * (bins.MOST / np.maximum(most, 1)).ravel()
            tensor.quantization.scale = changed.astype(np.float32)
            return


def _are_equal(codes, wanted):
    """Whether two kernels are equal, up to the signs and zeros of whole channels."""
    return all(
        not one.any() or (one == two).all() or (one == -two).all()
        for one, two in zip(codes, wanted, strict=True)
    )


def _by_channel(kernel):
    """The bin numbers of a kernel, `(out, all else)`, in a file's order."""
    numbers = bins.codes(kernel)
    axis = -2 if isinstance(kernel.layer, levels.TRANSPOSED) else -1
    return np.moveaxis(numbers, axis, 0).reshape(numbers.shape[axis], -1)
