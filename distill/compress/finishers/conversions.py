"""Files that need no further training: the student's weights, stored narrower."""

import dataclasses
from typing import ClassVar

from distill.compress.finishers.finisher import Finisher, described


@dataclasses.dataclass(frozen=True, kw_only=True)
class Float32(Finisher):
    """The student as it was trained."""

    tolerance: ClassVar[float] = 1e-4

    def make(self, bench):
        """Converts the student."""
        return bench.export("float32")

    def predicted_bytes(self, cost, parts=None):
        """Four bytes a weight."""
        return 4 * (cost.tables + cost.kernels + cost.channels) + described(cost)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Float16(Finisher):
    """Weights stored in half precision; computes in float32 on a CPU."""

    tolerance: ClassVar[float] = 0.01

    def make(self, bench):
        """Converts the student."""
        return bench.export("float16")

    def predicted_bytes(self, cost, parts=None):
        """Two bytes a weight."""
        weights = 2 * (cost.tables + cost.kernels + cost.channels)
        return weights + described(cost, 250)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DynamicInt8(Finisher):
    """Weights stored in eight bits; activations are quantized as they come."""

    def make(self, bench):
        """Converts the student."""
        return bench.export("dynamic_int8")

    def predicted_bytes(self, cost, parts=None):
        """One byte a weight, but of small kernels; a scale a channel."""
        weights = cost.tables + cost.kernels + 3 * cost.small + 16 * cost.channels
        return weights + described(cost)
