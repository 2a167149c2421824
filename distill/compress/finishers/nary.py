"""Kernels of three, five or seven levels, which are trained."""

import dataclasses
from typing import ClassVar, Literal

from distill.compress.base.finisher import TrainedFinisher
from distill.compress.base.sizes import metadata_bytes
from distill.compress.finishers.clustered import clusters_lost
from distill.compress.finishers.coded import KINDS
from distill.runtime.errors import check

# Classes of layers whose kernel stays as it is.
_OTHERS = ("DepthwiseConv1D", "DepthwiseConv2D")
# Number of levels to the share of weights that are not zero, and the bits of a level
# that is not; of normally distributed weights.
_RATES = {3: (0.42, 1.0), 5: (0.42, 1.97), 7: (0.42, 2.37)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Nary(TrainedFinisher):
    """Kernels of three, five or seven levels, zero and trained ones; small when packed.

    The levels are exact in eight bits; activations are quantized at run time. Depthwise
    kernels have eight bits: they are small, and levels would cost them too much
    accuracy.

    Attributes:
        levels: Number of different weights in each kernel: 3, 5 or 7.
        ends: How the first and the last kernel are stored: in eight bits (`int8`),
            since they lose most; or on `levels` as all others.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Schindler et al., "N-Ary Quantization for CNN Model Compression and Inference
        Acceleration", 2018. Activations are not trained for fewer bits here.
    """

    asks: ClassVar[tuple[str, ...]] = ("level",)
    packs: ClassVar[bool] = True
    certified: ClassVar[bool] = True
    untrained_form: ClassVar[str] = "all_int8"
    packed_channel: ClassVar[float] = 3.5
    searched: ClassVar[dict[str, tuple]] = {"levels": (3, 5, 7)}

    levels: int = 5
    ends: Literal["int8", "levels"] = "int8"
    learning_rate: float = 0.001  # Of Adam.

    def __post_init__(self):
        """Refuses another number of levels."""
        super().__post_init__()
        check(self.levels in _RATES, "levels", "3, 5 or 7", self.levels)

    def blocked(self, diagnosis):
        """Layers with other kernels, and networks without a kernel to change."""
        if diagnosis["twin"]:
            return diagnosis["twin"]
        kinds = {x["name"]: x["kind"] for x in diagnosis["layers"] if x["kernels"]}
        refused = {
            name: f"kernels of {kind} layers cannot have levels"
            for name, kind in kinds.items()
            if kind not in (*KINDS, *_OTHERS)
        }
        changed = len([kind for kind in kinds.values() if kind in KINDS])
        if changed < (3 if self.ends == "int8" else 1):
            refused["model"] = (
                f"levels need 3 kernels, or 1 with `ends: levels`; here are {changed}"
            )
        return refused

    def make(self, bench):
        """Trains the student on levels and stores them exactly."""
        return bench.store_codes(*bench.level(bench.twin(), self))

    def breaches(self, facts, parts, student):
        """All kernels must have eight bits, and all but the ends only the levels."""
        wide = [kernel.layer for kernel in facts.kernels if kernel.bits > 8]
        lines = [f"more than eight bits a weight in: {', '.join(wide)}"] if wide else []
        # Which two are the ends, the file does not say: ops of equal depth may come in
        # any order.
        fewest = sorted(facts.kernels, key=lambda kernel: kernel.channel_distinct)
        inner = fewest[:-2] if self.ends == "int8" else fewest
        return [*lines, *clusters_lost(inner, self.levels, "channel_distinct")]

    def predicted_bytes(self, cost, parts=None):
        """One byte for each weight; scale, zero point and bias for each channel."""
        # A channel has a bias (4), a scale (4) and a zero point (8).
        weights = 4 * cost.tables + cost.kernels + 16 * cost.channels
        return weights + metadata_bytes(cost)

    def rate(self, cost, parts):
        """The levels of nested means, of which those near zero are more frequent."""
        return _RATES[self.levels]
