"""What a search for a file chooses from: finishers, and those options that decide."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

from distill.compress import finishers
from distill.compress.finishers import finisher


@dataclasses.dataclass(frozen=True)
class Choice:
    """A finisher with its options chosen, and all that it starts from.

    Attributes:
        name: Of the finisher.
        options: What was chosen, of all steps.
        steps: The finishers in order, itself last, at full length.
    """

    name: str
    options: dict[str, Any]
    steps: tuple[finisher.Finisher, ...]

    @property
    def label(self) -> str:
        """What tells it from all others, such as `pruned_int8 sparsity=0.8`."""
        return " ".join([self.name, *(f"{k}={x}" for k, x in self.options.items())])

    @property
    def parts(self) -> dict[str, finisher.Finisher]:
        """Name to finisher, as `Finisher.breaches` wants it."""
        return {finishers.name_of(part): part for part in self.steps}

    def predicted_bytes(self, cost: Any) -> int:
        """See `Finisher.predicted_bytes`."""
        return self.steps[-1].predicted_bytes(cost, self.parts)

    def short(self, share: float) -> "Choice":
        """The same with a share of the epochs, one at least."""
        steps = tuple(
            dataclasses.replace(part, epochs=max(1, round(share * part.epochs)))
            if hasattr(part, "epochs")
            else part
            for part in self.steps
        )
        return dataclasses.replace(self, steps=steps)


def build(run: Any, name: str, options: dict[str, Any]) -> Choice:
    """A finisher with these options; the others are the config's, if it has any.

    Args:
        run: A config with `finish`.
        name: Of the finisher.
        options: Of those that are `searched`.

    Raises:
        ValueError: If an option does not go with those of the config.
    """
    own = {finishers.name_of(part): part for part in run.finish}
    needed = (*finishers.FINISHERS[name].needs, name)
    steps = []
    for step in (step for step in finishers.FINISHERS if step in needed):
        part = own.get(step) or finishers.FINISHERS[step]()
        chosen = {key: options[key] for key in part.searched if key in options}
        steps.append(dataclasses.replace(part, **chosen))
    return Choice(name, options, tuple(steps))


def all_choices(run: Any, found: dict) -> Iterator[Choice]:
    """All that can be made of a student.

    Args:
        run: A config with `finish` and a `budget`.
        found: See `distill.run.parent.diagnose`.
    """
    for name in run.budget.among or finishers.FINISHERS:
        steps = build(run, name, {}).steps
        grid = {key: values for part in steps for key, values in part.searched.items()}
        for values in itertools.product(*grid.values()):
            try:
                made = build(run, name, dict(zip(grid, values, strict=True)))
            except ValueError:  # Another option that the config gives forbids it.
                continue
            if not any(part.blocked(found) for part in made.steps):
                yield made
