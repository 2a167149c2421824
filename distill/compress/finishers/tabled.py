"""Clustered files for microcontrollers: kernels as tables, so that clusters shrink."""

import dataclasses
import math
from typing import ClassVar

from distill.compress.base.finisher import Finisher
from distill.compress.finishers.clustered import (
    Clustered,
    ClusteredInt8,
    PrunedClusteredInt8,
)
from distill.runtime.packages import MICRO

_KERNEL = 330  # Bytes of a kernel's tables beside their entries.


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusteredInt8Lut(Finisher):
    """The file of `clustered_int8` with kernels as tables, for TFLite Micro alone.

    Each weight is stored as its place among the clusters of its channel, in four bits
    for 16 clusters; the op `DECODE` unpacks a kernel right before it is used. That
    takes memory for the largest kernel in the arena. LiteRT does not run such a file.

    Source:
        tflite-micro, tensorflow/lite/micro/compression; Han et al., "Deep Compression",
        ICLR 2016, section 3.
    """

    needs: ClassVar[tuple[str, ...]] = ("clustered_int8", "clustered")
    asks: ClassVar[tuple[str, ...]] = ("cluster", "quantize")
    packages: ClassVar[tuple[str, ...]] = (MICRO,)
    untrained_form: ClassVar[str] = "int8"
    # In units of the outputs, on which two equal files agree to the last bit.
    tolerance: ClassVar[float] = 1e-9
    compared: ClassVar[str] = "max"
    made_of: ClassVar[type[ClusteredInt8]] = ClusteredInt8

    def make(self, bench):
        """Writes tables, and compares the two files in TFLite Micro."""
        return bench.tabulate(self.needs[0])

    def breaches(self, facts, parts, student):
        """The promise of the file that it is made of, and at least one table."""
        plain = parts[self.needs[0]].breaches(facts, parts, student)
        if "CUSTOM" in facts.ops:
            return plain
        return [*plain, f"no kernel is shorter as a table: as `{self.needs[0]}`"]

    def predicted_bytes(self, cost, parts=None):
        """The bits of a place for each weight, and a table for each channel."""
        parts = parts or {}
        plain = parts.get(self.needs[0]) or self.made_of()
        clusters = parts.get(self.needs[1], Clustered()).clusters
        saved = 1 - math.ceil(math.log2(clusters)) / 8
        tables = cost.channels * clusters + cost.layers * _KERNEL
        whole = plain.predicted_bytes(cost, parts)
        return min(whole, round(whole - saved * cost.kernels + tables))

    def rate(self, cost, parts):
        """The same as for the file that it is made of."""
        return (parts.get(self.needs[0]) or self.made_of()).rate(cost, parts)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrunedClusteredInt8Lut(ClusteredInt8Lut):
    """The file of `pruned_clustered_int8` with kernels as tables, for TFLite Micro."""

    needs: ClassVar[tuple[str, ...]] = (
        "pruned_clustered_int8",
        "pruned_clustered",
        "pruned",
    )
    made_of: ClassVar[type[ClusteredInt8]] = PrunedClusteredInt8
