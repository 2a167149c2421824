"""Decides which sources of examples are scored, and by which runs."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from distill import config
from distill.data.synthetic import sources
from distill.runtime.errors import ConfigError

EXAMPLES = 20_000  # Examples that a student is trained on, by default.


class Row(NamedTuple):
    """A set of examples that is scored.

    Attributes:
        name: Stem of its file names.
        title: Name in tables.
        run: The run; its only stage is the one that the students are trained by.
    """

    name: str
    title: str
    run: config.Run

    @property
    def source(self) -> sources.Synthetic | None:
        """The source of the examples; None for real ones."""
        return self.run.stages[0].synthetic


def plan(run: config.Run, generator_epochs: Sequence[int] | None = None) -> list[Row]:
    """Lists the sets to score, the real one first; reads and writes nothing.

    A student is trained as in the run's first `kd` stage, with its method and
    optimizer, but with a `cosine` schedule to zero and without labels.

    Args:
        run: The run. A source that one of its stages has keeps its options from there,
            except for `p_fake`, which is 1, and `min_confidence`, which is 0.
        generator_epochs: Epochs of the generators to score; None means the run's own.

    Raises:
        ConfigError: If the run has no `kd` stage, or the numbers of epochs are wrong.
    """
    kd_stages = [stage for stage in run.stages if stage.name == "kd"]
    if not kd_stages:
        raise ConfigError(
            "`stages` must have one whose trainer is kd, by which students learn from "
            f"each set. Received: {', '.join(stage.name for stage in run.stages)}"
        )
    stage = dataclasses.replace(
        kd_stages[0],
        # A placeholder: `score` counts epochs once the size of the data is known.
        epochs=1,
        schedule="cosine",
        decay_epochs=(),
        # Synthetic examples have no labels: a task loss would favour the real ones.
        task_weight=0.0,
        synthetic=None,
        labelled_share=1.0,
    )
    real = dataclasses.replace(run, stages=(stage,), controls=(), finish=())
    rows = [Row("real", "real, training split", real)]
    for part in _generators(run, generator_epochs):
        source = _source(run, sources.Gan)
        synthetic = dataclasses.replace(_with_source(real, source), generator=part)
        title = f"generator, {part.epochs} epoch{'s' * (part.epochs > 1)}"
        rows.append(Row(f"gan_{part.epochs}", title, synthetic))
    for kind in (sources.Munge, sources.Mixup):
        source = _source(run, kind)
        name = config.name_of(source)
        rows.append(Row(name, name, _with_source(real, source)))
    return rows


def _generators(run, lengths):
    """The run's generator with each of the given numbers of epochs."""
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
    """A source with the run's own options for it, if any, that makes every example."""
    learners = [run.stages, *(control.stages for control in run.controls)]
    used = [stage.synthetic for stages in learners for stage in stages]
    own = next((source for source in used if type(source) is kind), kind(p_fake=1.0))
    # The set itself is scored, so nothing is mixed in and nothing filtered out.
    return dataclasses.replace(own, p_fake=1.0, min_confidence=0.0)


def _with_source(run, source):
    stage = dataclasses.replace(run.stages[0], synthetic=source)
    return dataclasses.replace(run, stages=(stage,))
