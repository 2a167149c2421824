"""What all finishers share: a promise, and training on the teacher's answers."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from typing import Any, ClassVar

import trainers

if typing.TYPE_CHECKING:
    from distill.measure import cost, facts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finisher:
    """Makes one exported file of a trained student.

    Attributes:
        needs: Names of the finishers that must have run before.
        asks: What must be possible: to `prune`, `cluster`, `quantize` every layer;
            `narrow` wants filters that can go.
        tolerance: Largest difference of a logit that conversion may make, as a
            share of the largest logit: what eight bits need, unless a finisher
            states less.
        searched: Options that a search chooses, each to what it chooses from, in
            order.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    asks: ClassVar[tuple[str, ...]] = ()
    tolerance: ClassVar[float] = 0.2
    searched: ClassVar[dict[str, tuple]] = {}

    @property
    def ways(self) -> tuple[str, ...]:
        """What `asks` for, as `distill.run.parent.diagnose` answers to it."""
        return self.asks

    def make(self, bench: Any) -> bytes:
        """Makes the file.

        Args:
            bench: The `distill.compress.workbench.Workbench` with student and teacher.

        Returns:
            The `.tflite` file.
        """
        raise NotImplementedError

    def check_layers(self, layers: Sequence[str]) -> None:
        """Refuses a student whose layers do not fit the options.

        Args:
            layers: Names of the student's layers with a kernel.

        Raises:
            ValueError: In one line; begins with the option's name.
        """

    def blocked(self, found: dict) -> dict[str, str]:
        """What keeps this file of a network from being made.

        Args:
            found: See `distill.run.parent.diagnose`.

        Returns:
            Name of each layer in the way (`model` where it is no single one) to
            the reason.
        """
        if not self.asks:
            return {}
        whole = [found["whole"][way] for way in self.ways if found["whole"][way]]
        return {
            **found["twin"],
            **{
                layer["name"]: layer[way]
                for way in self.ways
                for layer in found["layers"]
                if layer.get(way)
            },
            **({"model": whole[0]} if whole else {}),
        }

    def breaches(
        self,
        facts: facts.Facts,
        parts: dict[str, Finisher],
        student: cost.Cost,
    ) -> list[str]:
        """How a file breaks its promise.

        Args:
            facts: What the file holds.
            parts: Name to finisher, of the whole run.
            student: What the student costs.

        Returns:
            Each broken promise in words; empty if all are kept.
        """
        return []

    def conversion_breaches(self, parity: dict[str, float]) -> list[str]:
        """How a file answers otherwise than the model that it was converted from.

        Args:
            parity: See `distill.measure.parity.compare`.

        Returns:
            As `breaches`.
        """
        allowed = self.tolerance * parity["scale"]
        if parity["max"] <= allowed:
            return []
        return [
            f"conversion changed the answers: logits differ by up to "
            f"{parity['max']:.3g} on {parity['examples']} examples, allowed "
            f"{allowed:.3g}"
        ]

    def predicted_bytes(
        self, cost: cost.Cost, parts: dict[str, Finisher] | None = None
    ) -> int:
        """About how many bytes the file will have.

        Args:
            cost: Of the student.
            parts: As of `breaches`; None means the finishers at their usual options.
        """
        raise NotImplementedError


def described(cost: cost.Cost, each: int = 0) -> int:
    """About how many bytes of a file say what to do with the weights.

    Fitted to files of networks of all kinds; names of tensors are most of it.

    Args:
        cost: Of the student.
        each: Bytes more for each kernel.
    """
    return 3_500 + 300 * cost.ops + each * cost.layers


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedFinisher(Finisher):
    """A finisher that trains on the labels and the teacher's answers.

    Attributes:
        epochs: Times that every training example is seen.
        learning_rate: Of the first step; falls to zero along a cosine.
        task_weight: Multiplies the loss on the true labels.
        kd_weight: Multiplies `trainers.losses.response.kd_loss`; both weights are by
            default those of `trainers.KD`.
        temperature: Divides both logits in it; positive, no unit.

    Raises:
        ValueError: If an option is out of its range.
    """

    only_with: ClassVar[dict[str, str]] = {"temperature": "kd_weight"}

    epochs: int = 10
    learning_rate: float = 0.01
    task_weight: float = trainers.KD.task_weight
    kd_weight: float = trainers.KD.kd_weight
    temperature: float = trainers.KD.temperature

    def __post_init__(self):
        """Refuses values out of range."""
        if self.epochs < 1:
            raise ValueError(f"`epochs` must be at least 1. Received: {self.epochs}")
        for name in ("learning_rate", "temperature"):
            if getattr(self, name) <= 0:
                raise ValueError(
                    f"`{name}` must be positive. Received: {getattr(self, name)}"
                )
        for name in ("task_weight", "kd_weight"):
            if getattr(self, name) < 0:
                raise ValueError(
                    f"`{name}` must be at least 0. Received: {getattr(self, name)}"
                )
