"""The zeros that the options of pruning promise, and whether a student has room."""

from collections.abc import Mapping

from distill.compress.base import promises, shares
from distill.measure import cost, energy, facts
from distill.runtime.errors import check


class Zeros:
    """Adds to the options of `pruned` what they mean for the kernels of a student."""

    sparsity: float
    budget: shares.Budget | None
    score: str
    scope: str
    pattern: str
    rules: tuple[shares.Rule, ...]
    engine: str

    @property
    def joint(self) -> str:
        """The option for which all kernels have their zeros together.

        Empty if each kernel has its own share.
        """
        if self.scope == "kernel":
            return ""
        each = self.engine == "tfmot" or self.in_fours
        options = {
            "`scope: network`": self.scope == "network",
            "`budget`": self.budget is not None,
            "`score: lamp`": self.score == "lamp",
            "`scope: auto`": not each and not any(rule.sparsity for rule in self.rules),
        }
        return next((option for option, holds in options.items() if holds), "")

    @property
    def in_fours(self) -> bool:
        """Whether two of any four successive input channels are zero."""
        return self.pattern == "2_of_4"

    def share(self, layer: str) -> float:
        """The promised share of zeros in the kernel of a layer."""
        return shares.share_of(layer, self.sparsity, self.rules)

    @property
    def limit(self) -> shares.Budget:
        """The budget; without one, the share of weights that `sparsity` leaves."""
        return self.budget or shares.Budget(counts="weights", keep=1 - self.sparsity)

    def density(self, cost: cost.Cost) -> float:
        """The final share of weights that are not zero: approximate, or at most."""
        whole = [name for name in cost.by_layer if not self.share(name)]
        return self.limit.density(cost.by_layer, whole, cost.kernels)

    @property
    def depends_on_layers(self) -> bool:
        """With rules, and if kernels share one budget."""
        return bool(self.rules or self.joint)

    def check_layers(self, layers: Mapping[str, energy.Layer]) -> None:
        """Refuses a student without kernels, rules that do not fit, too many zeros."""
        names = [name for name, layer in layers.items() if layer.kernels]
        if not names:
            raise ValueError("no kernel to prune")
        shares.check_rules(self.rules, names)
        if not any(self.share(name) for name in names):
            raise ValueError(
                "`rules` must leave a layer to prune. Received: a share of 0 for all"
            )
        if self.joint:
            self._check_floors(layers)

    def _check_floors(self, layers):
        whole = [name for name in layers if not self.share(name)]
        least = shares.least_keep_of(layers, whole, self.limit)
        name, rule, value = "sparsity", f"at most {1 - least:g}", self.sparsity
        if self.budget:
            name, rule, value = "budget.keep", f"at least {least:g}", self.budget.keep
        why = "for this student: every output channel keeps a weight"
        why += ", and layers that `rules` exclude count too" if self.rules else ""
        why += " (not with `scope: kernel`)" if self.joint == "`scope: auto`" else ""
        check(not least, name, f"{rule} {why}", value)

    def zero_breaches(self, facts: facts.Facts) -> list[str]:
        """One line for each broken promise of a file's zeros; see `promises`."""
        if self.in_fours:
            return promises.pattern_breaches(facts, self.share)
        if self.budget is not None:
            return promises.budget_breaches(facts, self.budget)
        if self.rules and not self.joint:
            least = min([self.sparsity, *(rule.sparsity for rule in self.rules)])
            return promises.share_breaches(facts, self.share, least)
        return promises.sparsity_breaches(facts, self.sparsity)
