"""What a run trains, leg by leg: for who wants to know how much is left."""

from typing import Any

from distill import config
from distill.config import lessons


def legs(run: Any) -> dict[str, int]:
    """Name of each leg, as it is called where it is trained, to its epochs.

    In order, and as if nothing was kept of an earlier run.

    Args:
        run: A `config.Run`, or a `finishing.Finishing`, where nothing but files is
            trained.
    """
    trained = _trained(run) if isinstance(run, config.Run) else {}
    finished = {config.name_of(part): getattr(part, "epochs", 0) for part in run.finish}
    return {**trained, **finished}


def _trained(run):
    learners = {
        **{
            name: part.teacher.stages for name, part in lessons.co_teachers(run).items()
        },
        **{name: part.stages for name, part in lessons.assistants(run).items()},
        "student": run.stages,
        **{control.name: control.stages for control in run.controls},
    }
    found = _epochs("teacher", run.teacher.stages)
    if run.uses_generator:
        found["generator"] = run.generator.epochs
    for name, stages in learners.items():
        found |= _epochs(name, stages)
    return found


def _epochs(name, stages):
    return {f"{name}.{index}": stage.epochs for index, stage in enumerate(stages)}
