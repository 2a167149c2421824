"""Quantization-aware training: integers from the first op to the last."""

import dataclasses
from typing import Any, ClassVar, Literal

from distill.compress.finishers.finisher import TrainedFinisher, described
from distill.compress.finishers.integers import Integers

# What stays as it was while eight bits are learned -> the engines' options.
SCHEMES: dict[str, dict[str, bool]] = {
    "": {},
    " zeros": {"zeros": True},
    " clusters": {"clusters": True},
    " zeros clusters": {"zeros": True, "clusters": True},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantizedFinisher(TrainedFinisher, Integers):
    """A finisher that trains what it is given to bear eight bits.

    Attributes:
        engine: What simulates eight bits: `tfmot`, TF-MOT; `keras`, layers of our
            own on Keras 3's fake quantization, which take more networks; `auto`,
            TF-MOT where it takes the network, else `keras`.
    """

    scheme: ClassVar[str] = ""  # Of `SCHEMES`.

    engine: Literal["auto", "tfmot", "keras"] = "auto"

    @property
    def ways(self):
        """Also which engine must be able to, and what has to stay."""
        engine = "quantize" if self.engine == "auto" else self.engine
        chosen = {"quantize": f"{engine}{self.scheme}"}
        return tuple(chosen.get(way, way) for way in self.asks)

    def integers(self, bench: Any, model: Any) -> bytes:
        """Trains a twin with simulated quantization, and converts it.

        Args:
            bench: The `distill.compress.workbench.Workbench`.
            model: The twin.

        Returns:
            The `.tflite` file.

        Raises:
            FinishError: If no engine takes the network; names the layers.
        """
        model = bench.simulate(self, model)
        bench.fit(model, self)
        return bench.convert(model, "int8", io=self.io)

    def predicted_bytes(self, cost, parts=None):
        """One byte a weight; scale, zero point and bias for each channel."""
        weights = cost.tables + cost.kernels + 28 * cost.channels
        return weights + described(cost, 300)


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
