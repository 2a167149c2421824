"""Checks that follow the reading of a config: devices, networks, data, disk.

They are used by `train`, `check`, `compare` and `score`. Mistakes in the config alone
are refused while it is read, by its dataclasses and `config.lessons`.
"""

import pathlib

import students
from distill import config, data
from distill.config.checks import unlabelled
from distill.data import beside
from distill.report.trackers import session
from distill.run import blocked, micro, parent
from distill.run.evaluation import references
from distill.runtime import processor
from distill.teach import incoming
from distill.teach.cache import size
from distill.teach.hardware import strategy
from distill.teach.networks import build, checks


def check(run: config.Run) -> list[tuple] | None:
    """Checks a run against devices, networks and finishers; needs no data.

    Args:
        run: The run.

    Returns:
        The pairs of representations; see `checks.check_pairs`.

    Raises:
        ConfigError: If an option does not fit.
        Untrusted: If a network's file may be unsafe.
    """
    micro.require(run)
    session.require(run.track)
    if not parent.missing_packages():  # Else nothing is finished, which is said.
        parent.require_packages(run.finish)
    strategy.resolve(run)
    pairs = checks.check_pairs(run)
    checks.check_finish(run)
    references.check(run)
    _check_files(run)
    processor.check(run.hardware)
    return pairs


def _check_files(run):
    """Refuses a student of which some file cannot be made, or none runs on the target.

    The project's own networks become all files; foreign layers are tried, in a process
    of their own, which takes some seconds, as the files for a target are.
    """
    if parent.missing_packages() or not run.finish:
        return
    asking = any(part.asks for part in run.finish)
    if asking and isinstance(run.student, students.KerasModel):
        blocked.check(parent.diagnose(build.build("student", run)), run.finish)
    if run.target == "micro":
        micro.check(run, build.build("student", run))


def check_data(
    run: config.Run, splits: data.Splits, folder: pathlib.Path | None = None
) -> list[tuple[str, str, int]]:
    """Checks a run against its data and the disk; runs the networks from files.

    Args:
        run: The run.
        splits: Its data.
        folder: The run's folder; if None, the free space of the disk is not checked.

    Returns:
        The sizes of the cached answers; see `size.check`.

    Raises:
        ConfigError: If an option or a network does not fit.
        Untrusted: If a network's file may be unsafe.
    """
    incoming.check(run, splits)
    counts = [
        len(part.labels) if part else 0 for part in (splits.train, splits.unlabelled)
    ]
    shares = {1.0, *(stage.labelled_share for _, stage in unlabelled.stages(run))}
    for share in sorted(shares):
        steps = beside.steps_per_epoch(*counts, share, run.batch_size)
        strategy.check_steps(run.hardware, steps)
    return size.check(run, splits, folder)
