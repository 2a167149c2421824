"""Weight clustering: every kernel has only a few different weights."""

import dataclasses
import math
from collections.abc import Sequence
from typing import ClassVar

from distill.compress.base.finisher import TrainedFinisher
from distill.compress.finishers import conversions, integers, quantized
from distill.compress.finishers.kept_zeros import KeepsZeros
from distill.compress.finishers.pruned import Pruned
from distill.measure.kernel import Kernel


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clustered(TrainedFinisher):
    """Kernels with few different weights: the file is as large, but compresses better.

    Norms are folded into the kernels before clustering, since the converter would
    otherwise do it afterwards. Depthwise kernels are not clustered: they are small,
    and clusters cost them too much accuracy.

    Attributes:
        clusters: Maximum number of different weights in each kernel.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Han et al., "Deep Compression", ICLR 2016, section 3, with the centroids
        of Arthur and Vassilvitskii, "k-means++", SODA 2007; as in TF-MOT.
    """

    asks: ClassVar[tuple[str, ...]] = ("cluster",)
    tolerance: ClassVar[float] = 1e-4
    searched: ClassVar[dict[str, tuple]] = {"clusters": (4, 8, 16, 32, 64)}

    clusters: int = 16
    # Folded kernels have no norm behind them that would tolerate longer steps.
    learning_rate: float = 0.001

    def __post_init__(self):
        """Refuses fewer than two clusters."""
        super().__post_init__()
        if self.clusters < 2:
            raise ValueError(
                f"`clusters` must be at least 2. Received: {self.clusters}"
            )

    def make(self, bench):
        """Trains the student with clustered kernels and converts it."""
        model = bench.cluster(bench.fold(bench.twin()), self)
        bench.keep("clustered", model)
        return bench.convert(model, "float32")

    def breaches(self, facts, parts, student):
        """Every kernel of the file must have at most `clusters` different weights."""
        return clusters_lost(facts.kernels, self.clusters, "distinct")

    def predicted_bytes(self, cost, parts=None):
        """The same as for `float32`: every weight is stored, only gzip gains."""
        return conversions.Float32().predicted_bytes(cost)

    def rate(self, cost, parts):
        """An index into the clusters, of which those near zero are more frequent."""
        return 1.0, 0.9 * math.log2(self.clusters)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrunedClustered(KeepsZeros, Clustered):
    """The pruned student, clustered while its zeros stay; zero is one cluster."""

    needs: ClassVar[tuple[str, ...]] = ("pruned",)
    asks: ClassVar[tuple[str, ...]] = ("cluster",)
    untrained_form: ClassVar[str] = "pruned"

    def __post_init__(self):
        """Refuses fewer than two clusters beside zero."""
        super().__post_init__()
        if self.clusters < 3:
            raise ValueError(
                "`clusters` must be at least 3, of which zero is one. "
                f"Received: {self.clusters}"
            )

    def make(self, bench):
        """Trains the model of `pruned` with clustered kernels and converts it."""
        pruned = bench.fold(bench.restore("pruned"))
        model = bench.cluster(pruned, self, preserve_sparsity=True)
        bench.keep("pruned_clustered", model)
        return bench.convert(model, self.untrained_form)

    def predicted_bytes(self, cost, parts=None):
        """The same as for `pruned`."""
        pruned = (parts or {}).get("pruned", Pruned())
        return pruned.predicted_bytes(cost)

    def upper_bounds(self, parts):
        """The same as for `pruned`."""
        return parts.get("pruned", Pruned()).upper_bounds(parts)

    def rate(self, cost, parts):
        """An index into the clusters for each weight that `pruned` leaves."""
        density, _ = super().rate(cost, parts)
        return density, 1.3 * math.log2(self.clusters)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusteredInt8(quantized.QuantizedFinisher):
    """The clustered student, trained for eight bits while its clusters stay.

    Each output channel has its own scale. The limit `clusters` therefore holds for
    each channel, and no longer for the whole kernel.
    """

    needs: ClassVar[tuple[str, ...]] = ("clustered",)
    asks: ClassVar[tuple[str, ...]] = ("cluster", "quantize")
    scheme: ClassVar[str] = " clusters"

    learning_rate: float = 0.001  # The same as for `clustered`.

    def make(self, bench):
        """Trains the model of `clustered` for eight bits and converts it."""
        model = bench.restore("clustered", bench.fold)
        return self.train_int8(bench, model)

    def rate(self, cost, parts):
        """More than the clusters need: each channel's scale gives them other codes."""
        clusters = parts.get(self.needs[0], Clustered()).clusters
        return 1.0, min(integers.BITS, 1.12 * math.log2(clusters))

    def breaches(self, facts, parts, student):
        """Only integer ops, and the clusters in every channel."""
        promised = parts[self.needs[0]].clusters
        lost = clusters_lost(facts.kernels, promised, "channel_distinct")
        return [*super().breaches(facts, parts, student), *lost]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrunedClusteredInt8(KeepsZeros, ClusteredInt8):
    """The pruned and clustered student in eight bits, with its zeros and clusters."""

    needs: ClassVar[tuple[str, ...]] = ("pruned_clustered", "pruned")
    asks: ClassVar[tuple[str, ...]] = ("cluster", "quantize")
    scheme: ClassVar[str] = " zeros clusters"

    def make(self, bench):
        """Trains the model of `pruned_clustered` for eight bits and converts it."""
        model = bench.restore("pruned_clustered", bench.fold)
        return self.train_int8(bench, model)


def clusters_lost(kernels: Sequence[Kernel], promised: int, where: str) -> list[str]:
    """One line about the kernels with more different weights than promised.

    Args:
        kernels: The kernels of the file.
        promised: Maximum number of different weights.
        where: `distinct` (in a kernel) or `channel_distinct` (in a channel).
    """
    over = {
        kernel.layer: getattr(kernel, where)
        for kernel in kernels
        if getattr(kernel, where) > promised
    }
    if not over:
        return []
    worst = max(over, key=over.get)
    place = "a channel" if where == "channel_distinct" else "a kernel"
    return [
        f"{over[worst]} different weights in {place} of `{worst}`, promised "
        f"{promised}; {len(over)} of {len(kernels)} kernels have more"
    ]
