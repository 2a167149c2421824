"""Weight clustering: every kernel is written with a few different weights."""

import dataclasses
from typing import ClassVar

from distill.compress.finishers import conversions, quantized
from distill.compress.finishers.finisher import TrainedFinisher
from distill.compress.finishers.pruned import Pruned


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clustered(TrainedFinisher):
    """A kernel of few different weights: as large a file, but it packs far smaller.

    Norms are put into the kernels before, since the converter would do it after.
    Depthwise kernels keep all their weights: they are small, and bear no clusters.

    Attributes:
        clusters: Different weights in each kernel, at most.

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
    learning_rate: float = 0.001  # No norm is left that would bear longer steps.

    def __post_init__(self):
        """Refuses clusters that are none."""
        super().__post_init__()
        if self.clusters < 2:
            raise ValueError(
                f"`clusters` must be at least 2. Received: {self.clusters}"
            )

    def make(self, bench):
        """Trains the clusters of the student, and converts it."""
        model = bench.cluster(bench.fold(bench.twin()), self)
        bench.keep("clustered", model)
        return bench.convert(model, "float32")

    def breaches(self, facts, parts, student):
        """The clusters must have reached the file."""
        return _clusters_lost(facts, self.clusters, "distinct")

    def predicted_bytes(self, cost, parts=None):
        """As `float32`: each weight is stored, and only packing gains."""
        return conversions.Float32().predicted_bytes(cost)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrunedClustered(Clustered):
    """The pruned student, clustered with its zeros kept: zero is one cluster."""

    needs: ClassVar[tuple[str, ...]] = ("pruned",)
    asks: ClassVar[tuple[str, ...]] = ("prune", "cluster")

    def __post_init__(self):
        """Refuses clusters that leave nothing beside zero."""
        super().__post_init__()
        if self.clusters < 3:
            raise ValueError(
                "`clusters` must be at least 3, of which zero is one. "
                f"Received: {self.clusters}"
            )

    def make(self, bench):
        """Trains the clusters of what `pruned` made, and converts it."""
        pruned = bench.fold(bench.kept("pruned"))
        model = bench.cluster(pruned, self, preserve_sparsity=True)
        bench.keep("pruned_clustered", model)
        return bench.convert(model, "pruned")

    def breaches(self, facts, parts, student):
        """Clusters, and the zeros of `pruned` kept."""
        zeros = parts["pruned"].breaches(facts, parts, student)
        return [*_clusters_lost(facts, self.clusters, "distinct"), *zeros]

    def predicted_bytes(self, cost, parts=None):
        """As `pruned`."""
        pruned = (parts or {}).get("pruned", Pruned())
        return pruned.predicted_bytes(cost)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusteredInt8(quantized.QuantizedFinisher):
    """The clustered student, trained to bear eight bits with its clusters kept.

    Each output channel has a scale of its own, so that it is a channel which has
    no more different weights than `clusters`, and no longer the whole kernel.
    """

    needs: ClassVar[tuple[str, ...]] = ("clustered",)
    asks: ClassVar[tuple[str, ...]] = ("cluster", "quantize")
    scheme: ClassVar[str] = " clusters"

    learning_rate: float = 0.001  # As that of `clustered`.

    def make(self, bench):
        """Trains what was clustered."""
        model = bench.kept("clustered", bench.fold)
        return self.integers(bench, model)

    def breaches(self, facts, parts, student):
        """Integers alone, and the clusters kept in every channel."""
        promised = parts[self.needs[0]].clusters
        lost = _clusters_lost(facts, promised, "channel_distinct")
        return [*super().breaches(facts, parts, student), *lost]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrunedClusteredInt8(ClusteredInt8):
    """The pruned and clustered student in eight bits, its zeros and clusters kept."""

    needs: ClassVar[tuple[str, ...]] = ("pruned_clustered", "pruned")
    asks: ClassVar[tuple[str, ...]] = ("prune", "cluster", "quantize")
    scheme: ClassVar[str] = " zeros clusters"

    def make(self, bench):
        """Trains what was pruned and clustered."""
        model = bench.kept("pruned_clustered", bench.fold)
        return self.integers(bench, model)

    def breaches(self, facts, parts, student):
        """Integers alone; clusters and zeros kept."""
        zeros = parts["pruned"].breaches(facts, parts, student)
        return [*super().breaches(facts, parts, student), *zeros]


def _clusters_lost(facts, promised, where):
    """Each kernel with more different weights than promised, in one line."""
    over = {
        kernel.layer: getattr(kernel, where)
        for kernel in facts.kernels
        if getattr(kernel, where) > promised
    }
    if not over:
        return []
    worst = max(over, key=over.get)
    place = "a channel" if where == "channel_distinct" else "a kernel"
    return [
        f"{over[worst]} different weights in {place} of `{worst}`, promised "
        f"{promised}; {len(over)} of {len(facts.kernels)} kernels have more"
    ]
