"""Quantization-aware training: integers from the first op to the last."""

import dataclasses
from typing import Any, ClassVar, Literal

from distill.compress.finishers.finisher import TrainedFinisher
from distill.compress.finishers.integers import Integers


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantizedFinisher(TrainedFinisher, Integers):
    """A finisher that trains what it is given to bear eight bits.

    Attributes:
        engine: What simulates eight bits: `tfmot`, TF-MOT; `keras`, layers of our
            own on Keras 3's fake quantization, which take more networks; `auto`,
            TF-MOT where it takes the network, else `keras`.
    """

    engine: Literal["auto", "tfmot", "keras"] = "auto"

    @property
    def ways(self):
        """Also which engine must be able to."""
        chosen = {} if self.engine == "auto" else {"quantize": self.engine}
        return tuple(chosen.get(way, way) for way in self.asks)

    def integers(
        self, bench: Any, model: Any, *, zeros: bool = False, clusters: bool = False
    ) -> bytes:
        """Trains a twin with simulated quantization, and converts it.

        Args:
            bench: The `distill.compress.workbench.Workbench`.
            model: The twin.
            zeros: Whether zeros of its kernels stay.
            clusters: Whether equal weights of a kernel stay equal.

        Returns:
            The `.tflite` file.

        Raises:
            FinishError: If no engine takes the network; names the layers.
        """
        simulated = bench.engine(self, model)
        model = simulated(model, zeros=zeros, clusters=clusters)
        bench.fit(model, self)
        return bench.convert(model, "int8", io=self.io)

    def predicted_bytes(self, cost, parts=None):
        """One byte a weight; scale, zero point and bias for each channel."""
        return cost.tables + cost.kernels + 36 * cost.channels + 550 * cost.layers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Int8(QuantizedFinisher):
    """Weights and activations in eight bits, trained to bear it.

    Source:
        Jacob et al., "Quantization and Training of Neural Networks for Efficient
        Integer-Arithmetic-Only Inference", CVPR 2018, section 3; as in TF-MOT.
    """

    asks: ClassVar[tuple[str, ...]] = ("quantize",)

    def make(self, bench):
        """Trains the student."""
        return self.integers(bench, bench.twin())
