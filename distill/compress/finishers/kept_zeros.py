"""What files have in common that start from the pruned student and keep its zeros."""

from distill.compress.finishers.pruned import Pruned


class KeepsZeros:
    """Adds the zeros of `pruned` to the promise of a finisher, and to its sizes."""

    def breaches(self, facts, parts, student):
        """The promise of the finisher without zeros, and that of `pruned`."""
        zeros = parts["pruned"].breaches(facts, parts, student)
        return [*super().breaches(facts, parts, student), *zeros]

    def rate(self, cost, parts):
        """The bits of the finisher without zeros, for weights that `pruned` leaves."""
        density, _ = parts.get("pruned", Pruned()).rate(cost, parts)
        return density, super().rate(cost, parts)[1]
