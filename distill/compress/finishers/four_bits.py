"""Weights in four bits, without training."""

import dataclasses
from typing import ClassVar

from distill.compress.finishers.finisher import Finisher, described


@dataclasses.dataclass(frozen=True, kw_only=True)
class DynamicInt4(Finisher):
    """Kernels stored in four bits, two in a byte; activations as they come.

    Depthwise kernels stay as they are: they do not bear it, nor does LiteRT.

    Source:
        LiteRT's quantizer, recipe `dynamic_wi4_afp32`: a scale a channel.
    """

    tolerance: ClassVar[float] = 0.5  # A step is 16 times that of eight bits.

    def make(self, bench):
        """Quantizes the kernels of the student's float file."""
        return bench.export("float32", rewrite=_rewritten)

    def breaches(self, facts, parts, student):
        """Every kernel but depthwise ones must have four bits a weight."""
        wide = [kernel.layer for kernel in facts.kernels if kernel.bits > 4]
        if not wide:
            return []
        return [f"more than four bits a weight in: {', '.join(wide)}"]

    def predicted_bytes(self, cost, parts=None):
        """Half a byte a weight; scale, zero point and bias for each channel."""
        left = cost.kernels // 2
        return 4 * cost.tables + left + 16 * cost.channels + described(cost)


def _rewritten(file):
    from ai_edge_quantizer import quantizer, recipe

    work = quantizer.Quantizer(bytearray(file), recipe.dynamic_wi4_afp32())
    return bytes(work.quantize(enable_progress_report=False).quantized_model)
