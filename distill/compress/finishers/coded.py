"""Kernels on as few multiples of one trained number as accuracy allows."""

import dataclasses
import functools
import math
from typing import Any, ClassVar, Literal

from distill.compress.base.finisher import TrainedFinisher
from distill.compress.finishers.conversions import DynamicInt8
from distill.compress.finishers.integers import Integers
from distill.compress.finishers.quantized import Int8
from distill.runtime.errors import check

# Classes of the layers whose kernels are coded.
KINDS = ("Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Dense")
# Entropy of a weight: a kernel starts at 2.1 bits, and training makes it less.
PROMISED_BITS = 3.0
# Of fixed bins, in standard deviations: normal weights then have 2.8 bits.
LEAST_WIDTH = 0.6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Coded(TrainedFinisher):
    """Weights that are whole multiples of one trained number, most of them zero.

    Each kernel has its own number. It trains together with the weights, by Adam, under
    the distortion, which is the loss on labels and the teacher's answers, and the rate:
    the bits of a weight if multiples follow a Laplace distribution. The file stores the
    multiples themselves, in eight bits, and computes as `dynamic_int8`. It is as large
    as that one; packed, it is a fraction of it. Depthwise kernels stay as they are.

    Attributes:
        tradeoff: What is minimized: `product`, distortion times rate; or a number by
            which the rate is multiplied before it is added to the distortion. With
            larger numbers, the packed file is smaller and less accurate. 0, distortion
            alone, needs a `width`: a trained one would become tiny.
        width: Standard deviations of a kernel's first weights that its number is,
            which then does not train. None trains it.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        "Adaptive Sample-space & Adaptive Probability coding", submitted to ICLR 2019,
        for a width of bins that trains under rate and distortion, there of images.
    """

    asks: ClassVar[tuple[str, ...]] = ("code",)
    packs: ClassVar[bool] = True
    certified: ClassVar[bool] = True
    untrained_form: ClassVar[str] = "all_int8"
    searched: ClassVar[dict[str, tuple]] = {"tradeoff": (3.0, 6.0, 12.0, 25.0)}

    tradeoff: float | Literal["product"] = "product"
    width: float | None = None

    def __post_init__(self):
        """Refuses a rate that counts for too little to keep the promise."""
        super().__post_init__()
        if self.width is not None:
            rule = f"at least {LEAST_WIDTH}, or absent"
            check(self.width >= LEAST_WIDTH, "width", rule, self.width)
        if self.tradeoff == "product" or (self.tradeoff == 0 and self.width):
            return
        rule = "`product`, at least 0.1, or 0 with a `width`"
        check(self.tradeoff >= 0.1, "tradeoff", rule, self.tradeoff)

    @property
    def ways(self):
        """No layer is in the way of the others."""
        return ()

    def blocked(self, diagnosis):
        """Kernels that cannot be coded, or none that can."""
        found, kinds = super().blocked(diagnosis), []
        for layer in diagnosis["layers"]:
            if layer["kernels"] and "Depthwise" not in layer["kind"]:
                kinds.append(layer["kind"])
                if kinds[-1] not in KINDS:
                    found[layer["name"]] = f"cannot code {kinds[-1]} layers"
        return found if found or kinds else {"model": "no kernel to code"}

    def make(self, bench):
        """Trains the student with its kernels in bins and converts it."""
        model = bench.code(bench.bin(bench.twin(), self.width), self, self.tradeoff)
        bench.keep("coded", model)
        return bench.store_codes(*bench.unbin(model))

    def breaches(self, facts, parts, student):
        """The multiples must have a small entropy in the file."""
        return rate_breaches(facts)

    def predicted_bytes(self, cost, parts=None):
        """One byte for each weight; a scale for each channel."""
        return DynamicInt8().predicted_bytes(dataclasses.replace(cost, small=0))

    def rate(self, cost, parts):
        """Includes the zeros; as fitted to a small ResNet after 1,000 steps."""
        if not self.tradeoff:
            return 1.0, max(0.1, 2.1 - math.log2(self.width))
        return 1.0, 0.9 if self.tradeoff == "product" else 0.6 / self.tradeoff**0.4


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodedInt8(TrainedFinisher, Integers):
    """The coded student, trained so that every op computes in integers.

    Rate and distortion stay as in `coded`; the scale of a kernel is its trained number.
    """

    needs: ClassVar[tuple[str, ...]] = ("coded",)
    asks: ClassVar[tuple[str, ...]] = ("quantize",)
    packs: ClassVar[bool] = True
    certified: ClassVar[bool] = True
    # TF-MOT chooses its scales by the largest weight: only our own engine will do.
    engine: ClassVar[str] = "keras"
    scheme: ClassVar[str] = ""

    packed_channel: ClassVar[float] = 5.4

    learning_rate: float = 0.003

    @property
    def ways(self):
        """Our own engine."""
        return (self.engine,)

    def training_engine(self, diagnosis):
        """Our own engine."""
        return self.engine

    def make(self, bench):
        """Trains the model of `coded` for eight bits and converts it."""
        coded = bench.part("coded")
        bins = functools.partial(bench.bin, width=coded.width)
        model = bench.simulate(self, bench.restore("coded", bins))
        bench.code(model, self, coded.tradeoff)
        return bench.convert(model, "int8", io=self.io)

    def breaches(self, facts, parts, student):
        """Only integer ops, and multiples of a small entropy."""
        return [*super().breaches(facts, parts, student), *rate_breaches(facts)]

    def predicted_bytes(self, cost, parts=None):
        """The same as for `int8`."""
        return Int8().predicted_bytes(cost)

    def rate(self, cost, parts):
        """The same as for `coded`."""
        return parts.get("coded", Coded()).rate(cost, parts)


def rate_breaches(facts: Any) -> list[str]:
    """One line if the weights of a file have too large an entropy.

    Args:
        facts: The contents of the file.
    """
    size = sum(kernel.size for kernel in facts.kernels)
    bits = sum(kernel.entropy for kernel in facts.kernels) / max(1, size)
    if bits <= PROMISED_BITS:
        return []
    return [f"{bits:.2f} bits for each weight, promised at most {PROMISED_BITS}"]
