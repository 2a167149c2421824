"""The conductor: one config in, measured TFLite students out."""

import json
import pathlib

from distill import config, data
from distill.config import lessons
from distill.run import leftovers, legs, parent
from distill.run.folder import claim, claim_together
from distill.runtime import files, onednn, progress
from distill.runtime.process import distributed


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
        FinishError, Killed: If the finishing process failed, or died.
    """
    onednn.choose(run.hardware.onednn)
    with files.lock(folder):
        claim_together(
            lambda: claim(folder, run, yields=distributed.is_chief()),
            folder / "run.yaml",
        )
        progress.say(f"    run folder: {folder}")
        if leftovers.is_cleaned(folder) and distributed.count() == 1:
            progress.say("    finished before, its checkpoint cleaned away: kept")
            return json.loads((folder / "report.json").read_text())
        progress.expect(legs.legs(run))
        if run.finish and (lacking := parent.missing_packages()):
            progress.say(
                f"    without {', '.join(lacking)}, training ends with .keras files: "
                "`finish` is left out"
            )
        # Imports Keras: a folder that is in use, or another run's, was answered above.
        from distill.run import gather, training
        from distill.teach.hardware import strategy
        from distill.teach.workspace import Workspace

        splits = data.read(run.data, lessons.pretrained_names(run))
        for line in gather.few(run, len(splits.validation.labels)):
            progress.say(f"    warning: {line}")
        with strategy.scope(strategy.resolve(run), run.hardware):
            records = training.train_all(Workspace(run, splits, folder))
        distributed.broadcast(lambda: b"")  # All is written; now each goes its way.
        distributed.disconnect()
        if not distributed.is_chief():
            return None
        if run.finish and not parent.missing_packages():
            records += parent.finish(folder)
        return gather.gather(run, splits, folder, records)
