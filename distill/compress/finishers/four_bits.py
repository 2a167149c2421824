"""Post-training quantization of weights to four bits."""

import dataclasses
from typing import ClassVar

from distill.compress.finishers.finisher import Finisher, metadata_bytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class DynamicInt4(Finisher):
    """Kernels in four bits, two in a byte; activations are quantized at run time.

    Depthwise kernels stay as they are: four bits cost them too much accuracy, and
    LiteRT cannot run them.

    Source:
        LiteRT's quantizer, recipe `dynamic_wi4_afp32`: one scale for each channel.
    """

    packed_channel: ClassVar[float] = 7.0
    untrained_form: ClassVar[str] = "dynamic_int8"
    tolerance: ClassVar[float] = 0.5  # A step is 16 times that of eight bits.

    def make(self, bench):
        """Quantizes the kernels of the student's float file."""
        recipe = "dynamic_wi4_afp32"
        return bench.export("float32", rewrite=lambda file: quantize(file, recipe))

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

    def rate(self, parts):
        """Less than four bits, because small weights are more frequent."""
        return 1.0, 3.3


def quantize(file: bytes, recipe: str) -> bytes:
    """Quantizes the weights of a float file.

    Args:
        file: A `.tflite` file in float32.
        recipe: Name of a recipe of LiteRT's quantizer.
    """
    from ai_edge_quantizer import quantizer
    from ai_edge_quantizer import recipe as recipes

    worker = quantizer.Quantizer(bytearray(file), getattr(recipes, recipe)())
    return bytes(worker.quantize(enable_progress_report=False).quantized_model)
