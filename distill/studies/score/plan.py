"""Which sources are scored, and which runs they need."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from distill import config
from distill.data.synthetic import sources
from distill.runtime.errors import ConfigError

EXAMPLES = 20_000  # That a student is taught, unless a flag says otherwise.


class Row(NamedTuple):
    """A set of examples that is scored.

    Attributes:
        name: Of its files.
        title: For people.
        run: The run, its only stage the one that the students are taught by.
    """

    name: str
    title: str
    run: config.Run

    @property
    def source(self) -> sources.Synthetic | None:
        """What makes the examples; None for real ones."""
        return self.run.stages[0].synthetic


def plan(run: config.Run, generator_epochs: Sequence[int] | None = None) -> list[Row]:
    """The sets to score, the real one first; nothing is read or written.

    A student is taught as in the run's first stage with `kd`: its method and
    optimizer, but down to a rate of zero by `cosine`, and by the teacher alone.

    Args:
        run: The run. A source that one of its stages has keeps its options there,
            but for `p_fake`, which is 1, and `min_confidence`, which is 0.
        generator_epochs: Lengths of generators; None means the run's own.

    Raises:
        ConfigError: If the run has no stage with `kd`, or a length fits nothing.
    """
    found = [stage for stage in run.stages if stage.name == "kd"]
    if not found:
        raise ConfigError(
            "`stages` must have one whose trainer is kd, by which scored examples are "
            f"taught. Received: {', '.join(stage.name for stage in run.stages)}"
        )
    taught = dataclasses.replace(
        found[0],
        epochs=1,
        schedule="cosine",
        decay_epochs=(),
        task_weight=0.0,
        synthetic=None,
    )
    alone = dataclasses.replace(run, stages=(taught,), controls=(), finish=())
    rows = [Row("real", "real, training split", alone)]
    for part in _generators(run, generator_epochs):
        source = _source(run, sources.Gan)
        made = dataclasses.replace(_with(alone, source), generator=part)
        title = f"generator, {part.epochs} epoch{'s' * (part.epochs > 1)}"
        rows.append(Row(f"gan_{part.epochs}", title, made))
    for kind in (sources.Munge, sources.Mixup):
        source = _source(run, kind)
        name = config.name_of(source)
        rows.append(Row(name, name, _with(alone, source)))
    return rows


def _generators(run, lengths):
    """The run's generator in every length that is wanted."""
    if run.generator is None:
        if lengths:
            raise ConfigError(
                "--generator-epochs needs a `generator` in the config. Received: none"
            )
        return []
    if lengths is None:
        return [run.generator]
    if min(lengths) < 1 or len(set(lengths)) < len(lengths):
        raise ConfigError(
            "--generator-epochs must be different numbers, each at least 1. "
            f"Received: {' '.join(map(str, lengths))}"
        )
    return [dataclasses.replace(run.generator, epochs=epochs) for epochs in lengths]


def _source(run, kind):
    """A source with the options that the run has for it, if any; it makes all."""
    learners = [run.stages, *(control.stages for control in run.controls)]
    given = [stage.synthetic for stages in learners for stage in stages]
    own = next((source for source in given if type(source) is kind), kind(p_fake=1.0))
    return dataclasses.replace(own, p_fake=1.0, min_confidence=0.0)


def _with(run, source):
    stage = dataclasses.replace(run.stages[0], synthetic=source)
    return dataclasses.replace(run, stages=(stage,))
