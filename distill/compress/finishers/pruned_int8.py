"""Training for eight bits of a student whose zeros stay."""

import dataclasses
from typing import ClassVar

from distill.compress.finishers import quantized
from distill.compress.finishers.pruned import Pruned


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrunedInt8(quantized.QuantizedFinisher):
    """The pruned student, trained for eight bits while its zeros stay."""

    needs: ClassVar[tuple[str, ...]] = ("pruned",)
    asks: ClassVar[tuple[str, ...]] = ("quantize",)
    scheme: ClassVar[str] = " zeros"

    def make(self, bench):
        """Trains the model of `pruned` for eight bits and converts it."""
        return self.train_int8(bench, bench.restore("pruned"))

    def rate(self, parts):
        """The same as for `int8`, for each weight that `pruned` leaves."""
        density, _ = parts.get("pruned", Pruned()).rate(parts)
        return density, super().rate(parts)[1]

    def breaches(self, facts, parts, student):
        """Only integer ops, and the zeros that `pruned` promises."""
        zeros = parts["pruned"].breaches(facts, parts, student)
        return [*super().breaches(facts, parts, student), *zeros]
