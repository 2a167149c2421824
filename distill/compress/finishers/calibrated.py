"""Post-training quantization: ranges of activations are measured on real images."""

import dataclasses
from typing import ClassVar

from distill.compress.finishers import integers, quantized


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibrated(integers.EightBits):
    """A finisher that measures the ranges of activations on training images.

    Attributes:
        calibration_examples: Number of training images whose activations set the
            ranges; all of them if there are fewer.

    Raises:
        ValueError: If `calibration_examples` is below 1.
    """

    calibration_examples: int = 200

    def __post_init__(self):
        """Refuses a calibration without images."""
        if self.calibration_examples < 1:
            raise ValueError(
                "`calibration_examples` must be at least 1. "
                f"Received: {self.calibration_examples}"
            )

    def predicted_bytes(self, cost, parts=None):
        """The same as for `int8`."""
        return quantized.Int8.predicted_bytes(self, cost)

    def rate(self, cost, parts):
        """The same as for `int8`."""
        return 1.0, integers.BITS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Int8Calibrated(Calibrated, integers.Integers):
    """Weights and activations in eight bits, rounded by the converter."""

    def make(self, bench):
        """Calibrates the student on training images and converts it."""
        examples = bench.calibration(self.calibration_examples)
        return bench.export("int8", calibration=examples, io=self.io)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Int16x8(Calibrated):
    """Weights in eight bits, activations in sixteen; nearly as exact as floats."""

    untrained_form: ClassVar[str] = "int16x8"

    def make(self, bench):
        """Calibrates the student on training images and converts it."""
        examples = bench.calibration(self.calibration_examples)
        return bench.export("int16x8", calibration=examples)

    def breaches(self, facts, parts, student):
        """Every op must compute in integers."""
        return integers.float_ops(facts)
