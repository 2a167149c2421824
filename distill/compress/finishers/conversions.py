"""Files that need no further training: the student's weights in fewer bits."""

import dataclasses
from typing import ClassVar

from distill.compress.base.finisher import Finisher
from distill.compress.base.sizes import metadata_bytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Float32(Finisher):
    """The student as it was trained, in single precision."""

    tolerance: ClassVar[float] = 1e-4

    def make(self, bench):
        """Converts the student."""
        return bench.export("float32")

    def predicted_bytes(self, cost, parts=None):
        """Four bytes for each weight."""
        return 4 * (cost.tables + cost.kernels + cost.channels) + metadata_bytes(cost)

    def rate(self, cost, parts):
        """Exponents repeat; mantissas cannot be compressed."""
        return 1.0, 26.7


@dataclasses.dataclass(frozen=True, kw_only=True)
class Float16(Finisher):
    """Weights stored in half precision; computes in float32 on a CPU."""

    tolerance: ClassVar[float] = 0.01
    untrained_form: ClassVar[str] = "float16"

    def make(self, bench):
        """Converts the student."""
        return bench.export("float16")

    def predicted_bytes(self, cost, parts=None):
        """Two bytes for each weight."""
        # Each kernel has a DEQUANTIZE op of about 250 bytes.
        weights = 2 * (cost.tables + cost.kernels + cost.channels)
        return weights + metadata_bytes(cost, 250)

    def rate(self, cost, parts):
        """The same as for `float32`."""
        return 1.0, 13.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class DynamicInt8(Finisher):
    """Weights stored in eight bits; activations are quantized at run time."""

    packed_channel: ClassVar[float] = 7.0
    untrained_form: ClassVar[str] = "dynamic_int8"

    def make(self, bench):
        """Converts the student."""
        return bench.export("dynamic_int8")

    def predicted_bytes(self, cost, parts=None):
        """One byte for each weight, four in small kernels; a scale for each channel."""
        # A channel has a bias (4), a scale (4) and a zero point (8).
        weights = cost.tables + cost.kernels + 3 * cost.small + 16 * cost.channels
        return weights + metadata_bytes(cost)

    def rate(self, cost, parts):
        """Nearly eight bits: the converter leaves small kernels in float."""
        return 1.0, 7.6


@dataclasses.dataclass(frozen=True, kw_only=True)
class DynamicInt4(Finisher):
    """Kernels in four bits, two in a byte; activations are quantized at run time.

    Depthwise kernels stay as they are: four bits cost them too much accuracy, and
    LiteRT cannot run them.

    Source:
        LiteRT's quantizer, recipe `dynamic_wi4_afp32`: one scale for each channel.
    """

    packed_channel: ClassVar[float] = 7.0
    untrained_form: ClassVar[str] = "all_int8"
    tolerance: ClassVar[float] = 0.5  # A step is 16 times that of eight bits.

    def make(self, bench):
        """Quantizes the kernels of the student's float file."""
        return bench.export("float32", rewrite=_to_four_bits)

    def breaches(self, facts, parts, student):
        """Every kernel but depthwise ones must be stored in four bits."""
        wide = [kernel.layer for kernel in facts.kernels if kernel.bits > 4]
        if not wide:
            return []
        return [f"more than four bits a weight in: {', '.join(wide)}"]

    def predicted_bytes(self, cost, parts=None):
        """Half a byte for each weight; scale, zero point and bias for each channel."""
        left = cost.kernels // 2
        return 4 * cost.tables + left + 16 * cost.channels + metadata_bytes(cost)

    def rate(self, cost, parts):
        """Less than four bits, because small weights are more frequent."""
        return 1.0, 3.3


def _to_four_bits(file):
    """A float file with kernels in four bits, by LiteRT's quantizer."""
    from ai_edge_quantizer import quantizer, recipe

    worker = quantizer.Quantizer(bytearray(file), recipe.dynamic_wi4_afp32())
    return bytes(worker.quantize(enable_progress_report=False).quantized_model)
