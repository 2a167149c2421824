"""The conductor: one config in, measured TFLite students out."""

import pathlib

import keras

from distill import config, data
from distill.data import sidecar
from distill.measure import accuracy as measure_accuracy
from distill.run import gather, parent, preflight
from distill.run.folder import GROUND, check_ground, claim
from distill.runtime import errors, files, onednn, progress, versions
from distill.runtime.process import distributed
from distill.teach import assistants, generator, stages, teacher
from distill.teach.hardware import strategy
from distill.teach.networks import checks
from distill.teach.networks.files import hashes
from distill.teach.workspace import Workspace


def train(run: config.Run, folder: pathlib.Path) -> dict | None:
    """The run's steps in order; a step that is finished is not run again.

    Args:
        run: What to do.
        folder: Made if need be; see `CONTRIBUTING.md` for what it holds.

    Returns:
        The report, as in `report.json`; None in every process but the chief, whose
        part ends with training.

    Raises:
        ConfigError: If the folder holds another run; or if a network whose shapes
            the config does not tell, or an option of a finisher, does not fit.
        CheckpointError, Diverged, WriteError, Stopped: See `resume.fit`.
        PeerLost: If another process of the run is gone.
        DataError: If the data cannot be had.
        FolderBusy: If another process works there.
        FinishError: If the finishing process died.
    """
    onednn.choose(run.hardware.onednn)
    with files.lock(folder):
        _claim_together(
            lambda: claim(folder, run, yields=distributed.is_chief()),
            folder / "run.yaml",
        )
        progress.say(f"    run folder: {folder}")
        if run.finish and (lacking := parent.missing_packages()):
            progress.say(
                f"    without {', '.join(lacking)}, training ends with .keras files: "
                "`finish` is left out"
            )
        with progress.step("data", f"reading {config.name_of(run.data)}"):
            splits = run.data.load()
        for line in gather.few(run, len(splits.validation.labels)):
            progress.say(f"    warning: {line}")
        with strategy.scope(strategy.resolve(run), run.hardware):
            records = _train_all(Workspace(run, splits, folder))
        distributed.broadcast(lambda: b"")  # All is written; now each goes its way.
        distributed.disconnect()
        if not distributed.is_chief():
            return None
        if run.finish and not parent.missing_packages():
            records += parent.finish(folder)
        return gather.gather(run, splits, folder, records)


def ground(run: config.Run, splits: data.Splits) -> dict[str, str]:
    """What a run's numbers stand on beside its config; see `folder.check_ground`.

    Raises:
        Untrusted: If the file of a network is nothing to open.
    """
    found = {"data": splits.fingerprint(), "backend": keras.backend.backend()}
    return {**found, **hashes(run), **versions.versions()}


def _claim_together(claim, path):
    """Lets the chief claim the folder first, then all others what it has written.

    Raises:
        ConfigError: If a process would train something else than the chief.
    """
    if distributed.is_chief():
        claim()
    distributed.share_file(path)
    try:
        if not distributed.is_chief():
            claim()
    except errors.ConfigError as mistake:
        raise errors.ConfigError(
            f"process {distributed.index()} is not of the chief's run: {mistake}"
        ) from None


def _train_all(work):
    """Every network of the run in order; returns the records of their stages."""
    run, splits, folder = work.run, work.splits, work.folder
    _claim_together(
        lambda: check_ground(
            folder, ground(run, splits), yields=distributed.is_chief()
        ),
        files.checkpoints(folder) / GROUND,
    )
    pairs = preflight.check(run)
    if pairs is not None:
        progress.say(checks.pairs_table(pairs))
    preflight.check_data(run, splits, folder)
    sidecar.write(folder, run.data, splits)
    network, records = teacher.obtain(work)
    accuracy = measure_accuracy.accuracy(
        measure_accuracy.logits(network, splits.test), splits.test
    )
    progress.say(f"    teacher: {accuracy:.2f} % of the test split")
    maker, more = generator.obtain(work)
    records += more
    asked, more = assistants.obtain(work, network, maker)
    records += more
    learners = [("student", run.stages, asked.last)]
    learners += [
        (part.name, part.stages, asked.first if part.skips_assistants else asked.last)
        for part in run.controls
    ]
    for name, steps, network in learners:
        learned, more = stages.train(
            name, steps, work, teacher=network, generator=maker
        )
        records += more
        stages.save_once(learned, folder / f"{name}.keras")
    return records
