"""Structured pruning: whole filters are removed, so the file is smaller and faster."""

import dataclasses
import math
from typing import ClassVar

from distill.compress.base.finisher import TrainedFinisher
from distill.compress.base.sizes import metadata_bytes
from distill.compress.finishers import conversions, quantized


@dataclasses.dataclass(frozen=True, kw_only=True)
class Narrowed(TrainedFinisher):
    """The student without its smallest filters, trained to recover from the loss.

    Only channels between two kernels are removed, the same share everywhere. Channels
    that enter a sum or an output stay.

    Attributes:
        macs: Maximum multiply-accumulates of the file, as a share of the student's.

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
        """Refuses a share outside (0, 1)."""
        super().__post_init__()
        if not 0 < self.macs < 1:
            raise ValueError(f"`macs` must be between 0 and 1. Received: {self.macs}")

    def make(self, bench):
        """Removes filters from the student, trains it and converts it."""
        model = bench.narrow(bench.twin(), self.macs)
        bench.fit(model, self)
        bench.keep("narrowed", model)
        return bench.convert(model, "float32")

    def blocked(self, diagnosis):
        """Also the whole model, if it cannot be made as small as `macs`."""
        blocked = super().blocked(diagnosis)
        if blocked or diagnosis["least_macs"] <= self.macs:
            return blocked
        return {"model": explain_minimum(self.macs, diagnosis["least_macs"])}

    def breaches(self, facts, parts, student):
        """The file must need no more multiply-accumulates than promised."""
        if facts.macs <= self.macs * student.macs:
            return []
        return [
            f"{facts.macs / student.macs:.3f} of the student's MACs, promised "
            f"{self.macs}"
        ]

    def predicted_bytes(self, cost, parts=None):
        """As for `float32`, with that share of the weights."""
        left = round(4 * self.macs * cost.kernels)
        return 4 * cost.tables + left + 3 * cost.channels + metadata_bytes(cost)

    def predicted_packed_bytes(self, cost, parts=None):
        """As for `float32`, with that share of the weights."""
        left = dataclasses.replace(cost, kernels=round(self.macs * cost.kernels))
        return conversions.Float32().predicted_packed_bytes(left)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NarrowedInt8(quantized.QuantizedFinisher):
    """The narrowed student, trained for eight bits."""

    needs: ClassVar[tuple[str, ...]] = ("narrowed",)
    asks: ClassVar[tuple[str, ...]] = ("narrow", "quantize")

    def make(self, bench):
        """Trains the model of `narrowed` for eight bits and converts it."""
        macs = bench.part("narrowed").macs
        model = bench.restore("narrowed", lambda twin: bench.narrow(twin, macs))
        return self.train_int8(bench, model)

    def breaches(self, facts, parts, student):
        """Only integer ops, and no more multiply-accumulates than `narrowed`."""
        more = parts["narrowed"].breaches(facts, parts, student)
        return [*super().breaches(facts, parts, student), *more]

    def predicted_bytes(self, cost, parts=None):
        """As for `int8`, with that share of the weights."""
        narrowed = (parts or {}).get("narrowed", Narrowed())
        left = round(narrowed.macs * cost.kernels)
        return cost.tables + left + 21 * cost.channels + metadata_bytes(cost, 300)

    def predicted_packed_bytes(self, cost, parts=None):
        """As for `int8`, with that share of the weights."""
        narrowed = (parts or {}).get("narrowed", Narrowed())
        left = dataclasses.replace(cost, kernels=round(narrowed.macs * cost.kernels))
        return super().predicted_packed_bytes(left, parts)


def explain_minimum(macs: float, least: float) -> str:
    """Explains why a student cannot be made as small as the option `macs` wants.

    Args:
        macs: The option's value, a share of the student's multiply-accumulates.
        least: The smallest share that is possible.
    """
    # Rounded up: the value in the message must itself be accepted.
    return (
        f"`macs` must be at least {math.ceil(1000 * least) / 1000} for this "
        f"student, the rest of which is bound by sums and outputs. Received: {macs}"
    )
