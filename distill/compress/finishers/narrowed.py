"""Structured pruning: whole filters go, and every file is smaller and faster."""

import dataclasses
import math
from typing import ClassVar

from distill.compress.finishers import quantized
from distill.compress.finishers.finisher import TrainedFinisher, described


@dataclasses.dataclass(frozen=True, kw_only=True)
class Narrowed(TrainedFinisher):
    """The student without its smallest filters, trained to do without them.

    Only channels between two kernels go, the same part of each such place; what
    a sum or an output binds stays.

    Attributes:
        macs: Multiply-accumulates of the file, at most, as a share of the
            student's.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017.
    """

    asks: ClassVar[tuple[str, ...]] = ("narrow",)
    tolerance: ClassVar[float] = 1e-4
    searched: ClassVar[dict[str, tuple]] = {"macs": (0.2, 0.3, 0.4, 0.5, 0.6, 0.75)}

    macs: float = 0.5
    epochs: int = 20

    def __post_init__(self):
        """Refuses shares that are none."""
        super().__post_init__()
        if not 0 < self.macs < 1:
            raise ValueError(f"`macs` must be between 0 and 1. Received: {self.macs}")

    def make(self, bench):
        """Takes filters out of the student, trains it, and converts it."""
        model = bench.narrow(bench.twin(), self.macs)
        bench.fit(model, self)
        bench.keep("narrowed", model)
        return bench.convert(model, "float32")

    def blocked(self, found):
        """Also a student that cannot be made so small."""
        blocked = super().blocked(found)
        if blocked or found["least_macs"] <= self.macs:
            return blocked
        return {"model": too_little(self.macs, found["least_macs"])}

    def breaches(self, facts, parts, student):
        """The file must compute no more than was promised."""
        if facts.macs <= self.macs * student.macs:
            return []
        return [
            f"{facts.macs / student.macs:.3f} of the student's MACs, promised "
            f"{self.macs}"
        ]

    def predicted_bytes(self, cost, parts=None):
        """As `float32` of so many weights."""
        left = round(4 * self.macs * cost.kernels)
        return 4 * cost.tables + left + 3 * cost.channels + described(cost)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NarrowedInt8(quantized.QuantizedFinisher):
    """The narrowed student, trained to bear eight bits."""

    needs: ClassVar[tuple[str, ...]] = ("narrowed",)
    asks: ClassVar[tuple[str, ...]] = ("narrow", "quantize")

    def make(self, bench):
        """Trains what `narrowed` made."""
        macs = bench.part("narrowed").macs
        model = bench.kept("narrowed", lambda twin: bench.narrow(twin, macs))
        return self.integers(bench, model)

    def breaches(self, facts, parts, student):
        """Integers alone, and no more of them than `narrowed` promised."""
        more = parts["narrowed"].breaches(facts, parts, student)
        return [*super().breaches(facts, parts, student), *more]

    def predicted_bytes(self, cost, parts=None):
        """As `int8` of so many weights."""
        narrowed = (parts or {}).get("narrowed", Narrowed())
        left = round(narrowed.macs * cost.kernels)
        return cost.tables + left + 21 * cost.channels + described(cost, 300)


def too_little(macs: float, least: float) -> str:
    """Why a student cannot be made so small, in words.

    Args:
        macs: Share of its MACs that is asked for.
        least: Share that must stay.
    """
    return (
        f"`macs` must be at least {math.ceil(1000 * least) / 1000} for this "
        f"student, the rest of which is bound by sums and outputs. Received: {macs}"
    )
