"""The search space: finishers, and those of their options that a search chooses."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from distill.compress import finishers
from distill.compress.base import finisher
from distill.measure import energy


@dataclasses.dataclass(frozen=True)
class Choice:
    """A finisher with chosen options, and the finishers that it needs.

    Attributes:
        name: Name of the finisher.
        options: The chosen options of all steps.
        steps: The finishers in order, the chosen one last, at full length.
    """

    name: str
    options: dict[str, Any]
    steps: tuple[finisher.Finisher, ...]

    @property
    def label(self) -> str:
        """A unique label such as `pruned_int8 sparsity=0.8`."""
        return " ".join([self.name, *(f"{k}={x}" for k, x in self.options.items())])

    @property
    def parts(self) -> dict[str, finisher.Finisher]:
        """Name to finisher, for `Finisher.breaches`."""
        return {finishers.name_of(part): part for part in self.steps}

    def predicted_bytes(self, cost: Any) -> int:
        """See `Finisher.predicted_bytes`."""
        return self.steps[-1].predicted_bytes(cost, self.parts)

    def predicted_costs(self, cost: Any) -> dict[str, int | None]:
        """The approximate costs, as in a record of `report.json`.

        There is no prediction of the size after gzip and of the arena, nor of a size
        of which only an upper bound is known: None is within every limit.
        """
        narrowed = self.parts.get("narrowed")
        return {
            "bytes": self.predicted_bytes(cost),
            "gzip_bytes": None,
            "packed_bytes": self.steps[-1].predicted_packed_bytes(cost, self.parts),
            "arena_bytes": None,
            "macs": round(narrowed.macs * cost.macs) if narrowed else cost.macs,
            **dict.fromkeys(self.steps[-1].upper_bounds(self.parts)),
        }

    def short(self, share: float) -> "Choice":
        """A copy with a share of the epochs, at least one."""
        steps = tuple(
            dataclasses.replace(part, epochs=max(1, round(share * part.epochs)))
            if hasattr(part, "epochs")
            else part
            for part in self.steps
        )
        return dataclasses.replace(self, steps=steps)


def build(run: Any, name: str, options: dict[str, Any]) -> Choice:
    """A finisher with chosen options; all others are the config's, or the defaults.

    Args:
        run: A config with `finish`.
        name: Name of the finisher.
        options: Options that are `searched`, by name.

    Raises:
        ValueError: If an option contradicts those of the config.
    """
    own = {finishers.name_of(part): part for part in run.finish}
    needed = (*finishers.FINISHERS[name].needs, name)
    steps = []
    # FINISHERS lists each finisher after those that it needs.
    for step in (step for step in finishers.FINISHERS if step in needed):
        part = own.get(step) or finishers.FINISHERS[step]()
        chosen = {key: options[key] for key in part.open_options if key in options}
        steps.append(dataclasses.replace(part, **chosen))
    return Choice(name, options, tuple(steps))


def all_choices(
    run: Any, diagnosis: dict, layers: Mapping[str, energy.Layer]
) -> Iterator[Choice]:
    """All choices that a student supports.

    Args:
        run: A config with `finish` and a `budget`.
        diagnosis: See `distill.run.parent.diagnose`.
        layers: As for `Finisher.check_layers`.
    """
    for name in run.budget.among or finishers.SEARCHED:
        steps = build(run, name, {}).steps
        grid = {
            key: values for part in steps for key, values in part.open_options.items()
        }
        for values in itertools.product(*grid.values()):
            try:
                choice = build(run, name, dict(zip(grid, values, strict=True)))
            except ValueError:  # It contradicts an option of the config.
                continue
            if all(_suits(part, diagnosis, layers) for part in choice.steps):
                yield choice


def _suits(part, diagnosis, layers):
    """Whether a finisher can make its file of the student."""
    if part.blocked(diagnosis):
        return False
    try:
        part.check_layers(layers)
    except ValueError:  # More zeros, for example, than its layers have room for.
        return False
    return True
