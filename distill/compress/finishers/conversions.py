"""Files that need no further training: the student's weights, stored narrower."""

import dataclasses
from typing import ClassVar

from distill.compress.finishers.finisher import Finisher


@dataclasses.dataclass(frozen=True, kw_only=True)
class Float32(Finisher):
    """The student as it was trained."""

    tolerance: ClassVar[float] = 1e-4

    def make(self, bench):
        """Converts the student."""
        return bench.export("float32")

    def predicted_bytes(self, cost, parts=None):
        """Four bytes a weight."""
        return 4 * (cost.tables + cost.kernels + cost.channels) + 350 * cost.layers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Float16(Finisher):
    """Weights stored in half precision; computes in float32 on a CPU."""

    tolerance: ClassVar[float] = 0.01

    def make(self, bench):
        """Converts the student."""
        return bench.export("float16")

    def predicted_bytes(self, cost, parts=None):
        """Two bytes a weight."""
        return 2 * (cost.tables + cost.kernels + cost.channels) + 550 * cost.layers


@dataclasses.dataclass(frozen=True, kw_only=True)
class DynamicInt8(Finisher):
    """Weights stored in eight bits; activations are quantized as they come."""

    def make(self, bench):
        """Converts the student."""
        return bench.export("dynamic_int8")

    def predicted_bytes(self, cost, parts=None):
        """One byte a weight, a scale a channel."""
        return cost.tables + cost.kernels + 16 * cost.channels + 550 * cost.layers
