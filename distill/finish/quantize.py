"""Quantization-aware training: integers from the first op to the last."""

import dataclasses
from typing import ClassVar

from distill.finish.finisher import TrainedFinisher


@dataclasses.dataclass(frozen=True, kw_only=True)
class Int8(TrainedFinisher):
    """Weights and activations in eight bits, trained to bear it.

    Source:
        Jacob et al., "Quantization and Training of Neural Networks for Efficient
        Integer-Arithmetic-Only Inference", CVPR 2018, section 3; as in TF-MOT.
    """

    asks: ClassVar[tuple[str, ...]] = ("quantize",)

    def make(self, bench):
        """Trains the student with simulated quantization, and converts it."""
        from distill.finish import forms

        model = forms.simulated(bench.twin())
        bench.fit(model, self)
        return bench.convert(model, "int8")

    def breaches(self, facts, parts, student):
        """Every op must compute in integers."""
        return float_ops(facts)

    def predicted_bytes(self, cost, parts=None):
        """One byte a weight; scale, zero point and bias for each channel."""
        return cost.tables + cost.kernels + 36 * cost.channels + 550 * cost.layers


def float_ops(facts) -> list[str]:
    """The breach of a file that must compute in integers alone."""
    if not facts.float_ops:
        return []
    return [f"float ops left in an int8 file: {', '.join(facts.float_ops)}"]
