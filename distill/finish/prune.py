"""Magnitude pruning: most weights become exactly zero, and stay so."""

import dataclasses
from typing import Any, ClassVar

from distill.finish import quantize
from distill.finish.finisher import TrainedFinisher

TOLERANCE = 0.005  # Small kernels cannot be cut at exactly the promised share.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pruned(TrainedFinisher):
    """The smallest weights of every kernel set to zero, little by little.

    The share of zeros rises from none along a cubic over the first part of the
    training; the rest lets what is left recover. The file is encoded sparse, but for
    a table in which ids are looked up: it is pruned too, and stored whole.

    Attributes:
        sparsity: Share of zeros in every kernel at the end.
        rise: Part of the training over which the share rises.

    Raises:
        ValueError: If an option is out of its range.

    Source:
        Zhu and Gupta, "To prune, or not to prune", 2017, section 3; as in TF-MOT.
    """

    asks: ClassVar[tuple[str, ...]] = ("prune",)
    tolerance: ClassVar[float] = 1e-4

    sparsity: float = 0.8
    rise: float = 0.6

    def __post_init__(self):
        """Refuses shares that are none."""
        super().__post_init__()
        if not 0 < self.sparsity < 1:
            raise ValueError(
                f"`sparsity` must be between 0 and 1. Received: {self.sparsity}"
            )
        if not 0 < self.rise <= 1:
            raise ValueError(f"`rise` must be in (0, 1]. Received: {self.rise}")

    def make(self, bench):
        """Trains the student while it is pruned, and converts it."""
        from tensorflow_model_optimization.sparsity import keras as sparsity

        steps = self.epochs * bench.steps_per_epoch
        every = max(1, int(steps * self.rise) // 50)
        last = max(1, int(steps * self.rise) // every) * every
        schedule = sparsity.PolynomialDecay(
            0.0, self.sparsity, begin_step=0, end_step=last, frequency=every
        )
        model = wrapped(bench.twin(), schedule)
        bench.fit(model, self, [sparsity.UpdatePruningStep()])
        model = sparsity.strip_pruning(model)
        bench.keep("pruned", model)
        return bench.convert(model, "pruned")

    def breaches(self, facts, parts):
        """The zeros must have reached the file."""
        return _zeros_lost(facts, self.sparsity)

    def predicted_bytes(self, cost):
        """A value and an index for each weight that is left; tables stay whole."""
        left = round(5.5 * (1 - self.sparsity) * cost.kernels)
        return 4 * cost.tables + left + 550 * cost.layers


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrunedInt8(TrainedFinisher):
    """The pruned student, trained to bear eight bits with its zeros kept."""

    needs: ClassVar[tuple[str, ...]] = ("pruned",)
    asks: ClassVar[tuple[str, ...]] = ("prune", "quantize")

    def make(self, bench):
        """Trains what `pruned` made with simulated quantization."""
        from tensorflow_model_optimization import experimental

        from distill.finish import forms

        scheme = experimental.combine.Default8BitPrunePreserveQuantizeScheme()
        model = forms.simulated(bench.kept("pruned"), scheme)
        bench.fit(model, self)
        return bench.convert(model, "pruned_int8")

    def breaches(self, facts, parts):
        """Integers alone, and the zeros of `pruned` kept."""
        promised = parts["pruned"].sparsity
        return [*quantize.float_ops(facts), *_zeros_lost(facts, promised)]

    def predicted_bytes(self, cost):
        """As `int8`: zeros are stored."""
        return quantize.Int8.predicted_bytes(self, cost)


def wrapped(model: Any, schedule: Any = None) -> Any:
    """A tf_keras model whose kernels get pruned; its layers are those of `model`.

    Layers without a kernel are left alone: TF-MOT has nothing to prune in them,
    and refuses some.

    Args:
        model: A functional tf_keras model.
        schedule: Of TF-MOT; None means half of each kernel at once.
    """
    import tf_keras
    from tensorflow_model_optimization.sparsity import keras as sparsity

    options = {"pruning_schedule": schedule} if schedule else {}

    def wrap(layer):
        kernels = [weight for weight in layer.weights if "kernel" in weight.name]
        return sparsity.prune_low_magnitude(layer, **options) if kernels else layer

    return tf_keras.models.clone_model(model, clone_function=wrap)


def _zeros_lost(facts, promised):
    if facts.sparsity >= promised - TOLERANCE:
        return []
    return [f"sparsity {facts.sparsity:.3f} of the file, promised {promised}"]
