"""The legs of a run, each one training, for an estimate of the remaining time."""

from typing import Any

from distill import config
from distill.config import lessons


def legs(run: Any) -> dict[str, int]:
    """The number of epochs of each leg, by the name that `progress.step` gets.

    The legs are in order; those that an earlier run has finished are included.

    Args:
        run: A `config.Run`; or a `finishing.Finishing`, whose legs are only the files.
    """
    stages = _stages(run) if isinstance(run, config.Run) else {}
    files = {config.name_of(part): getattr(part, "epochs", 0) for part in run.finish}
    return {**stages, **files}


def _stages(run):
    """The legs of training, in the order of `training.train_all`."""
    networks = {
        **{
            name: part.teacher.stages for name, part in lessons.co_teachers(run).items()
        },
        **{name: part.stages for name, part in lessons.assistants(run).items()},
        "student": run.stages,
        **{control.name: control.stages for control in run.controls},
    }
    legs = _epochs("teacher", run.teacher.stages)
    if run.uses_generator:
        legs["generator"] = run.generator.epochs
    for name, stages in networks.items():
        legs |= _epochs(name, stages)
    return legs


def _epochs(name, stages):
    return {f"{name}.{index}": stage.epochs for index, stage in enumerate(stages)}
