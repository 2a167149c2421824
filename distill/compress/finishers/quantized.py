"""Quantization-aware training: every op of the file computes in integers."""

import dataclasses
from typing import Any, ClassVar, Literal

from distill.compress.base.finisher import TrainedFinisher
from distill.compress.base.sizes import metadata_bytes
from distill.compress.finishers import integers
from distill.compress.finishers.integers import Integers

# What quantization-aware training preserves -> the engines' options.
SCHEMES: dict[str, dict[str, bool]] = {
    "": {},
    " zeros": {"zeros": True},
    " clusters": {"clusters": True},
    " zeros clusters": {"zeros": True, "clusters": True},
}


# Clusters train without norms, which are folded before: one long step, while clusters
# are not good yet, can end all learning.
CLUSTERS_CLIP_NORM = 10.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantizedFinisher(TrainedFinisher, Integers):
    """A finisher that trains a network with simulated quantization to eight bits.

    Attributes:
        engine: What simulates eight bits: `tfmot`, TF-MOT; `keras`, our own layers
            with Keras 3's fake quantization, which support more networks; `auto`,
            TF-MOT if it supports the network, else `keras`.
    """

    scheme: ClassVar[str] = ""  # A key of `SCHEMES`.

    engine: Literal["auto", "tfmot", "keras"] = "auto"

    @property
    def ways(self):
        """The entries of `asks`, with the engine that quantizes and the scheme."""
        engine = "quantize" if self.engine == "auto" else self.engine
        chosen = {"quantize": f"{engine}{self.scheme}"}
        return tuple(chosen.get(way, way) for way in self.asks)

    def training_engine(self, diagnosis):
        """The chosen engine, or the one that supports the network."""
        if self.engine != "auto":
            return self.engine
        return diagnosis["engines"][self.scheme]

    def train_int8(self, bench: Any, model: Any) -> bytes:
        """Trains a twin with simulated quantization and converts it.

        Args:
            bench: The `distill.compress.workbench.Workbench`.
            model: The twin.

        Returns:
            The `.tflite` file.

        Raises:
            FinishError: If no engine supports the network; names the layers.
        """
        model = bench.simulate(self, model)
        clips = SCHEMES[self.scheme].get("clusters", False)
        bench.fit(model, self, clip_norm=CLUSTERS_CLIP_NORM if clips else None)
        return bench.convert(model, "int8", io=self.io)

    def predicted_bytes(self, cost, parts=None):
        """One byte for each weight; scale, zero point and bias for each channel."""
        # A channel has a scale (4), a zero point (8), and a bias (4) with its own
        # scale (4) and zero point (8).
        weights = cost.tables + cost.kernels + 28 * cost.channels
        return weights + metadata_bytes(cost, 300)

    def rate(self, cost, parts):
        """Less than eight bits, because small weights are more frequent."""
        return 1.0, integers.BITS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Int8(QuantizedFinisher):
    """Weights and activations in eight bits, by quantization-aware training.

    Source:
        Jacob et al., "Quantization and Training of Neural Networks for Efficient
        Integer-Arithmetic-Only Inference", CVPR 2018, section 3; as in TF-MOT.
    """

    asks: ClassVar[tuple[str, ...]] = ("quantize",)

    def make(self, bench):
        """Trains the student for eight bits and converts it."""
        return self.train_int8(bench, bench.twin())
