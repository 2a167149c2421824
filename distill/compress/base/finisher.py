"""The base classes of all finishers: a promise, and training on teacher logits."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import trainers
from distill.compress.base import sizes
from distill.runtime.errors import check

if TYPE_CHECKING:
    from distill.measure import cost, energy, facts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finisher:
    """Makes one exported file of a trained student.

    Attributes:
        needs: Names of the finishers that must have run before.
        asks: What must be possible, beside what `needs` ask: to `prune`, `cluster` or
            `quantize` every layer; to `narrow` it, to `code` or `level` its kernel.
        packs: Whether the packed file, `.tflz`, is written beside the file.
        packages: Packages that only this finisher needs, by the names of imports.
        tolerance: Largest difference of a logit that conversion may make, as a
            share of the largest logit. The default is what eight bits need.
        compared: What `tolerance` limits: `max`, the largest difference of all; or
            `most`, which is exceeded on less than one example in a hundred.
        untrained_form: The variant of `convert_untrained` with the same ops.
        packed_channel: Bytes of a channel in a packed file, beside its weights: of
            float files, the bias.
        certified: Whether the report bounds the file's error on new examples.
        searched: Name of each option that a search chooses to its candidate values,
            in order.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    asks: ClassVar[tuple[str, ...]] = ()
    packs: ClassVar[bool] = False
    packages: ClassVar[tuple[str, ...]] = ()
    tolerance: ClassVar[float] = 0.2
    compared: ClassVar[str] = "max"
    untrained_form: ClassVar[str] = "float32"
    packed_channel: ClassVar[float] = 3.5
    certified: ClassVar[bool] = False
    searched: ClassVar[dict[str, tuple]] = {}

    @property
    def ways(self) -> tuple[str, ...]:
        """The entries of `asks`, by their names in `distill.run.parent.diagnose`."""
        return self.asks

    @property
    def open_options(self) -> dict[str, tuple]:
        """Those of `searched` that the other options leave open."""
        return self.searched

    def make(self, bench: Any) -> bytes:
        """Makes the file.

        Args:
            bench: The `distill.compress.workbench.Workbench` of the run.

        Returns:
            The `.tflite` file.
        """
        raise NotImplementedError

    @property
    def depends_on_layers(self) -> bool:
        """Whether the options must fit the student's layers; see `check_layers`."""
        return False

    def check_layers(self, layers: Mapping[str, energy.Layer]) -> None:
        """Refuses options that do not fit the student's layers.

        Args:
            layers: Name of each layer of the student with a kernel to its kernels.

        Raises:
            ValueError: If they do not fit; one line that begins with the option.
        """

    def training_engine(self, diagnosis: dict) -> str | None:
        """The engine that prunes or quantizes in training.

        Args:
            diagnosis: See `distill.run.parent.diagnose`.

        Returns:
            Its name; None if there is no choice of engines.
        """
        return None

    def cautions(self, diagnosis: dict) -> list[str]:
        """Known risks of these options with a network, one line each.

        Args:
            diagnosis: See `distill.run.parent.diagnose`.
        """
        return []

    def blocked(self, diagnosis: dict) -> dict[str, str]:
        """The layers because of which this file cannot be made.

        Args:
            diagnosis: See `distill.run.parent.diagnose`.

        Returns:
            Name of each such layer (`model` if it is no single layer) to the reason.
        """
        if not self.asks:
            return {}
        whole = [why for way in self.ways if (why := diagnosis["whole"][way])]
        return {
            **diagnosis["twin"],
            **{
                layer["name"]: layer[way]
                for way in self.ways
                for layer in diagnosis["layers"]
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
        """Checks the promise on the made file.

        Args:
            facts: The contents of the file.
            parts: Name to finisher, of the whole run.
            student: The cost of the student.

        Returns:
            One line for each broken promise; empty if all are kept.
        """
        return []

    def conversion_breaches(self, parity: dict[str, float]) -> list[str]:
        """Checks that the file's logits are those of the model before conversion.

        Args:
            parity: See `distill.measure.parity.compare`.

        Returns:
            As for `breaches`.
        """
        allowed = self.tolerance * parity["scale"]
        # A finished file of an earlier version has `max` alone.
        found = parity.get(self.compared, parity["max"])
        if found <= allowed:
            return []
        which = "99 % of " if self.compared == "most" else ""
        where = f"{which}{parity['examples']} examples, allowed {allowed:.3g}"
        return [f"conversion changed the answers: logits by {found:.3g} on {where}"]

    def predicted_bytes(
        self, cost: cost.Cost, parts: dict[str, Finisher] | None = None
    ) -> int:
        """The approximate size of the file in bytes.

        Args:
            cost: The cost of the student.
            parts: As for `breaches`; None means finishers with default options.
        """
        raise NotImplementedError

    def predicted_packed_bytes(
        self, cost: cost.Cost, parts: dict[str, Finisher] | None = None
    ) -> int:
        """The approximate size of the packed file in bytes, from its weights' entropy.

        Args:
            cost: As for `predicted_bytes`.
            parts: As for `predicted_bytes`.
        """
        density, bits = self.rate(cost, parts or {})
        return sizes.packed_bytes(cost, density, bits, self.packed_channel)

    def upper_bounds(self, parts: dict[str, Finisher]) -> tuple[str, ...]:
        """Those of the two sizes that are not predicted, but can be no larger.

        Args:
            parts: As for `breaches`.

        Returns:
            `bytes`, `packed_bytes`, both or none.
        """
        pruned = parts.get("pruned") if "pruned" in self.needs else None
        return ("packed_bytes",) if pruned and pruned.upper_bounds(parts) else ()

    def rate(self, cost: cost.Cost, parts: dict[str, Finisher]) -> tuple[float, float]:
        """The share of weights that are not zero, and the bits that each takes packed.

        Args:
            cost: As for `predicted_bytes`.
            parts: As for `breaches`.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedFinisher(Finisher):
    """A finisher that trains on the labels and the teacher's answers.

    Attributes:
        epochs: Passes over the training examples that have labels.
        learning_rate: Learning rate of the first step; falls to zero along a cosine.
        task_weight: Multiplies the loss on the true labels.
        kd_weight: Multiplies `trainers.losses.response.kd_loss`. The defaults of both
            weights are those of `trainers.KD`.
        temperature: Divides both networks' logits in that loss; positive, no unit.
        labelled_share: Share of labelled examples in each batch; the others are
            `data.options.unlabelled`, which only the teacher labels.

    Raises:
        ValueError: If an option is out of its range.
    """

    only_with: ClassVar[dict[str, str]] = dict.fromkeys(
        ("temperature", "labelled_share"), "kd_weight"
    )
    omitted_when_absent: ClassVar[tuple[str, ...]] = ("labelled_share",)

    epochs: int = 10
    learning_rate: float = 0.01
    task_weight: float = trainers.KD.task_weight
    kd_weight: float = trainers.KD.kd_weight
    temperature: float = trainers.KD.temperature
    labelled_share: float = 1.0

    def __post_init__(self):
        """Refuses values out of range."""
        check(self.epochs >= 1, "epochs", "at least 1", self.epochs)
        for name in ("learning_rate", "temperature"):
            check(getattr(self, name) > 0, name, "positive", getattr(self, name))
        for name in ("task_weight", "kd_weight"):
            check(getattr(self, name) >= 0, name, "at least 0", getattr(self, name))
        rule = "positive with `kd_weight: 0`"
        check(self.task_weight or self.kd_weight, "task_weight", rule, self.task_weight)
        share = self.labelled_share
        check(0 <= share <= 1, "labelled_share", "in [0, 1]", share)
