"""Magnitude pruning: most weights become exactly zero and stay zero."""

import dataclasses
import fnmatch
from typing import ClassVar, Literal

from distill.compress.finishers import conversions, quantized
from distill.compress.finishers.finisher import TrainedFinisher, metadata_bytes

TOLERANCE = 0.005  # Small kernels cannot be cut at exactly the promised share.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """The share of zeros for some of the layers.

    Attributes:
        layers: Pattern of names as in a shell: `head*`, `section[23]_*`.
        sparsity: Final share of zeros in their kernels; 0 means no pruning.

    Raises:
        ValueError: If the share is out of its range.
    """

    layers: str
    sparsity: float

    def __post_init__(self):
        """Refuses a share outside [0, 1)."""
        if not 0 <= self.sparsity < 1:
            raise ValueError(f"`sparsity` must be in [0, 1). Received: {self.sparsity}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pruned(TrainedFinisher):
    """Sets the smallest weights of every kernel to zero.

    The share of zeros rises from 0 along a cubic over the first part of the training;
    in the rest, the other weights recover. The file is encoded sparse. A table in
    which ids are looked up is not a kernel and is not pruned.

    Attributes:
        sparsity: Final share of zeros in every kernel.
        schedule: `polynomial`; or `constant`, the full share from the start.
        rise: Part of the training in which the share rises, or in which `constant`
            still changes which weights are zero.
        pattern: `unstructured`; or `2_of_4`, at least two zeros among any four
            successive input channels, chosen at the start, as sparse hardware
            requires. That file is stored dense, and a kernel is not pruned unless
            its number of input channels is a multiple of four.
        rules: Shares for some of the layers; the last rule that matches counts.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Zhu and Gupta, "To prune, or not to prune", 2017, section 3; as in TF-MOT.
        `2_of_4`: Mishra et al., "Accelerating Sparse Deep Neural Networks", 2021,
        section 3.
    """

    # TF-MOT chooses the zeros of a pattern once, at its first step.
    only_with: ClassVar[dict[str, str]] = {
        "schedule": "pattern: unstructured",
        "rise": "pattern: unstructured",
    }
    asks: ClassVar[tuple[str, ...]] = ("prune",)
    tolerance: ClassVar[float] = 1e-4
    searched: ClassVar[dict[str, tuple]] = {"sparsity": (0.5, 0.6, 0.7, 0.8, 0.9)}

    sparsity: float = 0.8
    schedule: Literal["polynomial", "constant"] = "polynomial"
    rise: float = 0.6
    pattern: Literal["unstructured", "2_of_4"] = "unstructured"
    rules: tuple[Rule, ...] = ()

    def __post_init__(self):
        """Refuses values out of range, and shares that do not fit the pattern."""
        super().__post_init__()
        if not 0 < self.sparsity < 1:
            raise ValueError(
                f"`sparsity` must be between 0 and 1. Received: {self.sparsity}"
            )
        if not 0 < self.rise <= 1:
            raise ValueError(f"`rise` must be in (0, 1]. Received: {self.rise}")
        if self.pattern == "unstructured":
            return
        if self.sparsity != 0.5:
            raise ValueError(
                "`sparsity` must be 0.5 with `pattern: 2_of_4`. "
                f"Received: {self.sparsity}"
            )
        for index, rule in enumerate(self.rules):
            if rule.sparsity not in (0, 0.5):
                raise ValueError(
                    f"`rules[{index}].sparsity` must be 0 or 0.5 with "
                    f"`pattern: 2_of_4`. Received: {rule.sparsity}"
                )

    def check_layers(self, layers):
        """Refuses a rule that matches no layer, and rules that prune no layer."""
        for index, rule in enumerate(self.rules):
            if not fnmatch.filter(layers, rule.layers):
                raise ValueError(
                    f"`rules[{index}].layers` must match a layer of the student: "
                    f"{', '.join(layers)}. Received: {rule.layers!r}"
                )
        if not any(self.share(layer) for layer in layers):
            raise ValueError(
                "`rules` must leave a layer to prune. Received: a share of 0 for all"
            )

    def share(self, layer: str) -> float:
        """The promised share of zeros in the kernel of a layer."""
        shares = [
            rule.sparsity
            for rule in self.rules
            if fnmatch.fnmatchcase(layer, rule.layers)
        ]
        return [self.sparsity, *shares][-1]

    def make(self, bench):
        """Prunes the student while it trains, and converts it."""
        model = bench.prune(bench.twin(), self)
        bench.keep("pruned", model)
        return bench.convert(model, "float32" if self.in_fours else "pruned")

    def breaches(self, facts, parts, student):
        """The file must have the promised zeros."""
        if self.in_fours:
            return self._patterns_lost(facts)
        if self.rules:
            return self._shares_lost(facts)
        if facts.sparsity >= self.sparsity - TOLERANCE:
            return []
        return [f"sparsity {facts.sparsity:.3f} of the file, promised {self.sparsity}"]

    def predicted_bytes(self, cost, parts=None):
        """A value and an index for each nonzero weight; all entries of tables."""
        if self.in_fours:
            return conversions.Float32().predicted_bytes(cost)
        left = round(5.5 * (1 - self.sparsity) * cost.kernels)
        return 4 * (cost.tables + cost.channels) + left + metadata_bytes(cost)

    def rate(self, parts):
        """The same as for `float32`, for each weight that is left."""
        _, bits = conversions.Float32().rate(parts)
        return 1 - self.sparsity, bits

    @property
    def in_fours(self) -> bool:
        """Whether two of any four successive input channels are zero."""
        return self.pattern == "2_of_4"

    def _patterns_lost(self, facts):
        promised = [
            kernel
            for kernel in facts.kernels
            if kernel.shape[-1] % 4 == 0 and self.share(kernel.layer)
        ]
        lost = [kernel.layer for kernel in promised if not kernel.two_of_four]
        if promised and not lost:
            return []
        what = ", ".join(f"`{layer}`" for layer in lost) or "every kernel"
        return [f"no two zeros of every four weights in {what}"]

    def _shares_lost(self, facts):
        least = min([self.sparsity, *(rule.sparsity for rule in self.rules)])
        lost = []
        for kernel in facts.kernels:
            # A sparse file has lost the name of its last layer, which may be under
            # any rule: the smallest promise is checked. One zero is for rounding.
            share = self.share(kernel.layer) if kernel.layer else least
            if kernel.zeros + 1 < (share - TOLERANCE) * kernel.size:
                found = kernel.zeros / kernel.size
                lost.append(f"`{kernel.layer}`: {found:.3f}, promised {share}")
        return [f"sparsity of {'; '.join(lost)}"] if lost else []


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrunedInt8(quantized.QuantizedFinisher):
    """The pruned student, trained for eight bits while its zeros stay."""

    needs: ClassVar[tuple[str, ...]] = ("pruned",)
    asks: ClassVar[tuple[str, ...]] = ("prune", "quantize")
    scheme: ClassVar[str] = " zeros"

    def make(self, bench):
        """Trains the model of `pruned` for eight bits and converts it."""
        return self.train_int8(bench, bench.restore("pruned"))

    def rate(self, parts):
        """The same as for `int8`, for each weight that `pruned` leaves."""
        density, _ = parts.get("pruned", Pruned()).rate(parts)
        return density, super().rate(parts)[1]

    def breaches(self, facts, parts, student):
        """Only integer ops, and the zeros that `pruned` promises."""
        zeros = parts["pruned"].breaches(facts, parts, student)
        return [*super().breaches(facts, parts, student), *zeros]
