"""Training for eight bits of a student whose zeros stay."""

import dataclasses
from typing import ClassVar

from distill.compress.finishers import quantized
from distill.compress.finishers.kept_zeros import KeepsZeros


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrunedInt8(KeepsZeros, quantized.QuantizedFinisher):
    """The pruned student, trained for eight bits while its zeros stay."""

    needs: ClassVar[tuple[str, ...]] = ("pruned",)
    asks: ClassVar[tuple[str, ...]] = ("quantize",)
    scheme: ClassVar[str] = " zeros"

    def make(self, bench):
        """Trains the model of `pruned` for eight bits and converts it."""
        return self.train_int8(bench, bench.restore("pruned"))
