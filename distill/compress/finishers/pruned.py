"""Pruning: most weights become exactly zero and stay zero."""

import dataclasses
from typing import ClassVar, Literal

from distill.compress.base import promises, scored, shares
from distill.compress.base.finisher import TrainedFinisher
from distill.compress.base.sizes import metadata_bytes
from distill.compress.base.zeros import Zeros
from distill.compress.finishers import conversions
from distill.runtime.errors import check


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pruned(Zeros, TrainedFinisher):
    """Sets the least important weights to zero.

    The share of zeros rises from 0 along a cubic over the first part of the training;
    in the rest, the other weights recover. The file is encoded sparse. Neither tables
    in which ids are looked up nor depthwise kernels, which are small, are pruned.

    Attributes:
        sparsity: Final share of zeros: in every kernel, or in all kernels together.
        budget: A limit on the cost of the other weights, in place of `sparsity`.
        score: The order in which weights become zero: `magnitude`, the smallest first;
            `lamp`, the smallest relative to the larger ones of their kernel; `kfac`,
            those whose loss costs least, to second order; `sensitivity`, those with
            the smallest part in the sums of their neuron. `kfac` and `sensitivity`
            use 1,024 training images for each choice.
        scope: What has the share of zeros: each `kernel`; or the `network`, in which
            zeros go wherever weights matter least. There each kernel keeps at least
            0.3 of an even share, and each output channel one weight. `auto` is
            `kernel` with `engine: tfmot`, with `pattern: 2_of_4`, and with `rules`
            whose shares are not 0; else `network`.
        schedule: `polynomial`; or `constant`, the full share from the start.
        rise: Part of the training in which the share rises, or in which `constant`
            still changes which weights are zero.
        every: Number of steps between two choices of zeros during the rise; the last
            choice is at its end. If absent, there are about 50 choices, or 12 if they
            use images.
        returns: Whether zeros may become other numbers between two choices, until the
            end of the rise; otherwise they stay zero.
        pattern: `unstructured`; or `2_of_4`, at least two zeros among any four
            successive input channels, chosen at the start, as sparse hardware
            requires. That file is stored dense, and a kernel is not pruned unless
            its number of input channels is a multiple of four.
        rules: Shares for some of the layers; the last rule that matches counts. With
            `scope: network`, a budget or `score: lamp`, the only possible share is 0.
        input_keep: Share of the pixels of an image that the network sees; the others
            are multiplied by zero, during the rise, those first that matter least to
            the loss.
        engine: What sets weights to zero: `tfmot`; `own`, our engine, which supports
            any layer with a kernel; or `auto`, TF-MOT if it supports all options,
            else `own`.

    Raises:
        ValueError: If an option is out of its range, or `engine` does not support it.

    Source:
        Zhu and Gupta, "To prune, or not to prune", 2017, section 3; as in TF-MOT.
        `2_of_4`: Mishra et al., "Accelerating Sparse Deep Neural Networks", 2021,
        section 3. `every`, `returns`: Lee et al., "DeepTwist: Learning Model
        Compression via Occasional Weight Distortion", 2018.
    """

    # TF-MOT, which alone has a pattern, chooses its zeros once, at its first step.
    only_with: ClassVar[dict[str, str]] = dict.fromkeys(
        [
            *("schedule", "rise", "score"),
            *("every", "returns", "input_keep", "engine"),
        ],
        "pattern: unstructured",
    ) | {
        "sparsity": "no budget",
        "budget": "scope: auto|network and pattern: unstructured",
    }
    asks: ClassVar[tuple[str, ...]] = ("prune",)
    tolerance: ClassVar[float] = 1e-4
    searched: ClassVar[dict[str, tuple]] = {"sparsity": (0.5, 0.6, 0.7, 0.8, 0.9)}

    sparsity: float = 0.8
    budget: shares.Budget | None = None
    score: Literal["magnitude", "lamp", "kfac", "sensitivity"] = "magnitude"
    scope: Literal["auto", "kernel", "network"] = "auto"
    schedule: Literal["polynomial", "constant"] = "polynomial"
    rise: float = 0.6
    every: int | None = None
    returns: bool = False
    pattern: Literal["unstructured", "2_of_4"] = "unstructured"
    rules: tuple[shares.Rule, ...] = ()
    input_keep: float = 1.0
    engine: Literal["auto", "tfmot", "own"] = "auto"

    def __post_init__(self):
        """Refuses values out of range, and combinations that are not supported."""
        super().__post_init__()
        check(0 < self.sparsity < 1, "sparsity", "in (0, 1)", self.sparsity)
        check(0 < self.rise <= 1, "rise", "in (0, 1]", self.rise)
        check(0 < self.input_keep <= 1, "input_keep", "in (0, 1]", self.input_keep)
        check(self.every is None or self.every > 0, "every", "at least 1", self.every)
        rule = "network with `score: lamp`, which equals magnitude within a kernel"
        has_effect = self.score != "lamp" or self.scope != "kernel"
        check(has_effect, "scope", rule, self.scope)
        new = self._beyond_tfmot
        check(self.engine != "tfmot" or not new, "engine", f"own with {new}", "tfmot")
        if self.in_fours:
            rule = "0.5 with `pattern: 2_of_4`"
            check(self.sparsity == 0.5, "sparsity", rule, self.sparsity)
            shares.check_shares(self.rules, (0, 0.5), f"0 or {rule}")
            rule = "auto or kernel with `pattern: 2_of_4`"
            check(self.scope != "network", "scope", rule, self.scope)
        elif self.joint:
            shares.check_shares(self.rules, (0,), f"0 with {self.joint}")

    @property
    def open_options(self):
        """The share of zeros, unless a budget or a pattern decides it."""
        return {} if self.budget or self.in_fours else self.searched

    def upper_bounds(self, parts):
        """Both sizes, if a weight costs more in one layer than in another."""
        return () if self.limit.price.is_alike else ("bytes", "packed_bytes")

    @property
    def _beyond_tfmot(self) -> str:
        """The first option that TF-MOT does not support; empty if there is none."""
        options = {
            f"`score: {self.score}`": self.score != "magnitude",
            self.joint: bool(self.joint),
            "`every`": self.every is not None,
            "`returns`": self.returns,
            "`input_keep`": self.input_keep < 1,
        }
        return next((option for option, is_set in options.items() if is_set), "")

    @property
    def uses_images(self) -> bool:
        """Whether zeros are chosen by training images."""
        return self.score in scored.KINDS or self.input_keep < 1

    @property
    def takes(self):
        """The kinds of data: texts have no pixels for `input_keep`."""
        return ("images", "texts") if self.input_keep == 1 else ("images",)

    @property
    def pruner(self) -> str:
        """The engine: `tfmot` or `own`."""
        if self.engine != "auto":
            return self.engine
        return "own" if self._beyond_tfmot else "tfmot"

    @property
    def ways(self):
        """Our own engine supports all layers."""
        return self.asks if self.pruner == "tfmot" else ()

    def blocked(self, diagnosis):
        """Also layers that the score does not support."""
        # A budget of computation leaves the layers whole of which it knows no cost.
        layers = diagnosis["layers"] if self.limit.price.is_alike else ()
        pruned = [layer for layer in layers if self.share(layer["name"])]
        return super().blocked(diagnosis) | scored.unsupported(pruned, self.score)

    def cautions(self, diagnosis):
        """See `scored.cautions`."""
        return scored.cautions(diagnosis["layers"], self.score)

    def training_engine(self, diagnosis):
        """See `pruner`."""
        return self.pruner

    def make(self, bench):
        """Prunes the student while it trains, and converts it."""
        model = bench.prune(bench.twin(), self)
        file = bench.convert(model, self.untrained_form)
        if not self.limit.price.is_exact:
            file = bench.shorten(model, file, self)
        bench.keep("pruned", model)
        return file

    @property
    def untrained_form(self):
        """Sparse kernels where that is shorter."""
        return "float32" if self.in_fours else "pruned"

    def breaches(self, facts, parts, student):
        """The file must have the promised zeros, and the mask of the input."""
        mask = promises.mask_breaches(facts, self.input_keep)
        return [*self.zero_breaches(facts), *mask]

    def predicted_bytes(self, cost, parts=None):
        """A value and an index for each nonzero weight, or all; all of tables."""
        if self.in_fours:
            return conversions.Float32().predicted_bytes(cost)
        left = round(min(4.0, 5.5 * self.density(cost)) * cost.kernels)
        return 4 * (cost.tables + cost.channels) + left + metadata_bytes(cost)

    def rate(self, cost, parts):
        """The same as for `float32`, for each weight that is left."""
        return self.density(cost), conversions.Float32().rate(cost, parts)[1]
