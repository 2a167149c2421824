"""Adds the standard controls of a comparison to runs that lack them."""

import dataclasses

import trainers
from distill import config
from distill.config import roles


def with_controls(run: config.Run) -> config.Run:
    """Returns the run with those of the standard controls that it lacks.

    - `scratch`: the same student, trained from labels alone.
    - `kd`: the same student, trained by plain knowledge distillation. Its weights and
      temperature are those of the run's own last `kd` stage, or the defaults
      of `trainers.KD`.
    - `no_adversarial`, if a method has an `adversarial_weight`: the same stages
      with a weight of 0.
    - `no_assistants`, if there are assistants: the same stages, taught by the
      teacher itself.

    The first two see only real examples, in the same order as the student, and have as
    many updates: the same number of epochs, or fewer if one of the student's updates
    takes several batches. If the student has one stage, they have its schedule. If it
    has several, they have one stage instead, with the optimizer and learning rate of
    the first and a cosine schedule to zero.

    A control in the run whose stages are all `supervised` takes the place of `scratch`,
    and one whose stages are all `kd` on labelled real examples that of `kd`. So does
    the student itself.

    Args:
        run: The run as the config gives it.

    Raises:
        ValueError: If a control of another kind has the name of a missing one.
    """
    trained = [run.stages, *(control.stages for control in run.controls)]
    missing = [
        roles.Control(
            name=name, stages=stages, skips_assistants=name == "no_assistants"
        )
        for name, stages, exists in (
            (
                "scratch",
                _scratch(run),
                any(_uses_only(trainers.Supervised, s) for s in trained),
            ),
            ("kd", _kd(run), any(_uses_only(trainers.KD, s) for s in trained)),
            (
                "no_adversarial",
                _without_adversary(run),
                # Also true if there is no adversary: the stages are the student's.
                _without_adversary(run) in trained,
            ),
            ("no_assistants", run.stages, _has_no_assistants(run)),
        )
        if not exists
    ]
    return dataclasses.replace(run, controls=(*run.controls, *missing))


def _has_no_assistants(run):
    """Whether the student, or a control with its stages, has no assistants."""
    skipping = [part.stages for part in run.controls if part.skips_assistants]
    return not run.assistants or run.stages in skipping


def _uses_only(method, stages):
    """Whether every stage uses exactly this method, on real examples alone."""
    # Not `isinstance`: most methods are subclasses of KD.
    return all(
        type(s.trainer) is method and s.synthetic is None and s.labelled_share == 1
        for s in stages
    )


def _scratch(run):
    method = trainers.Supervised()
    return (_single_stage(run, method, trainers.Supervised.task_weight),)


def _kd(run):
    own = [stage for stage in run.stages if type(stage.trainer) is trainers.KD]
    if own:
        return (_single_stage(run, own[-1].trainer, own[-1].task_weight),)
    return (_single_stage(run, trainers.KD(), trainers.KD.task_weight),)


def _single_stage(run, method, task_weight):
    """One stage with as many updates as the student has in all of its stages."""
    first, *more = run.stages
    single = dataclasses.replace(
        first,
        trainer=method,
        task_weight=task_weight,
        synthetic=None,
        labelled_share=1.0,
        schedule="cosine",
        decay_epochs=(),
        decay_factor=config.Stage.decay_factor,
        epochs=sum(stage.epochs_of_updates for stage in run.stages),
    )
    return single if more else _with_schedule(single, first)


def _with_schedule(single, stage):
    """Gives a stage the schedule of the student's only stage, counted in updates."""
    length = stage.epochs_per_plain
    # The control updates after every batch: it needs fewer epochs, which decay sooner.
    decays = tuple(
        sorted({int(round(epoch / length, 6)) for epoch in stage.decay_epochs} - {0})
    )
    # A step schedule whose decays all fall into the first epoch would have none.
    has_decay = decays or stage.schedule != "step"
    schedule = stage.schedule if has_decay else "constant"
    factor = (stage if decays else config.Stage).decay_factor
    return dataclasses.replace(
        single, schedule=schedule, decay_epochs=decays, decay_factor=factor
    )


def _without_adversary(run):
    """The student's stages with adversarial weights of 0."""
    return tuple(
        dataclasses.replace(
            stage,
            trainer=dataclasses.replace(
                # No loss of the student opposes the discriminator: it wins, which is
                # no collapse here.
                stage.trainer,
                adversarial_weight=0.0,
                stop_on_collapse=False,
            ),
        )
        if hasattr(stage.trainer, "adversarial_weight")
        else stage
        for stage in run.stages
    )
