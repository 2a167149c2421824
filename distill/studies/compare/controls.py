"""The controls that every comparison has, whether a config names them or not."""

import dataclasses

import trainers
from distill import config
from distill.config import roles


def with_controls(run: config.Run) -> config.Run:
    """The run, and those of the standard controls that it lacks.

    - `scratch`: the same student from labels alone.
    - `kd`: the same student by plain knowledge distillation. Its weights and
      temperature are those of the run's own last `kd` stage, else the defaults
      of `trainers.KD`.
    - `no_adversarial`, if a method has an `adversarial_weight`: the same stages
      with that weight 0.
    - `no_assistants`, if there are assistants: the same stages, taught by the
      teacher itself.

    The first two see real examples alone, in the very same order, and have as many
    updates as the student: as many epochs, or a part of them where each of its
    updates takes several batches. A student of one stage lends them its schedule
    too; of several, they have one stage in their stead, with the optimizer and rate
    of the first, down to zero by a cosine.

    A control of the run's own all of whose stages are `supervised`, or all `kd`
    without made examples, stands for the one or the other; so does the student itself.

    Args:
        run: As it was read.

    Raises:
        ValueError: If a control of another kind has the name of a missing one.
    """
    taught = [run.stages, *(control.stages for control in run.controls)]
    missing = [
        roles.Control(
            name=name, stages=stages, skips_assistants=name == "no_assistants"
        )
        for name, stages, there in (
            (
                "scratch",
                _scratch(run),
                any(_all(trainers.Supervised, s) for s in taught),
            ),
            ("kd", _kd(run), any(_all(trainers.KD, s) for s in taught)),
            ("no_adversarial", _calm(run), _calm(run) in taught),
            ("no_assistants", run.stages, _has_no_assistants(run)),
        )
        if not there
    ]
    return dataclasses.replace(run, controls=(*run.controls, *missing))


def _has_no_assistants(run):
    """Whether the run, or a control of it, is that of the student without them."""
    skipping = [part.stages for part in run.controls if part.skips_assistants]
    return not run.assistants or run.stages in skipping


def _all(method, stages):
    """Whether every stage is taught by exactly this method, on real examples."""
    return all(type(s.trainer) is method and s.synthetic is None for s in stages)


def _scratch(run):
    return (_one(run, trainers.Supervised(), trainers.Supervised.task_weight),)


def _kd(run):
    own = [stage for stage in run.stages if type(stage.trainer) is trainers.KD]
    if own:
        return (_one(run, own[-1].trainer, own[-1].task_weight),)
    return (_one(run, trainers.KD(), trainers.KD.task_weight),)


def _one(run, method, task_weight):
    """As many updates as the student has in all of its stages, in one stage."""
    first, *more = run.stages
    whole = dataclasses.replace(
        first,
        trainer=method,
        task_weight=task_weight,
        synthetic=None,
        schedule="cosine",
        decay_epochs=(),
        decay_factor=config.Stage.decay_factor,
        epochs=sum(stage.epochs_of_updates for stage in run.stages),
    )
    return whole if more else _scheduled(whole, first)


def _scheduled(whole, stage):
    """With the schedule of the student's only stage, and as many of its updates."""
    each = stage.trainer.steps_per_update
    decays = tuple(sorted({epoch // each for epoch in stage.decay_epochs} - {0}))
    # A decay before the first epoch's end is none.
    falls = decays or stage.schedule != "step"
    schedule = stage.schedule if falls else "constant"
    factor = (stage if decays else config.Stage).decay_factor
    return dataclasses.replace(
        whole, schedule=schedule, decay_epochs=decays, decay_factor=factor
    )


def _calm(run):
    """The student's stages without an adversary."""
    return tuple(
        dataclasses.replace(
            stage,
            trainer=dataclasses.replace(
                # Nobody plays against its discriminator, which is to win.
                stage.trainer,
                adversarial_weight=0.0,
                stop_on_collapse=False,
            ),
        )
        if hasattr(stage.trainer, "adversarial_weight")
        else stage
        for stage in run.stages
    )
