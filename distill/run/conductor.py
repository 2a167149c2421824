"""Runs all steps of one config: from training to measured TFLite files."""

import contextlib
import pathlib

from distill import config, data
from distill.config import lessons
from distill.report import trackers
from distill.run import legs, parent, times
from distill.run.evaluation import warn
from distill.run.folder import claim, claim_together, leftovers
from distill.runtime import files, processor, progress, stopwatch
from distill.runtime.process import distributed


def train(run: config.Run, folder: pathlib.Path) -> dict | None:
    """Trains, finishes and measures a run; finished steps are not repeated.

    Args:
        run: The config.
        folder: The run's folder, created if it is missing; `CONTRIBUTING.md` lists
            its content.

    Returns:
        The report, as in `report.json`. None in every process but the chief: these
        only take part in training.

    Raises:
        ConfigError: If the folder contains another run, or the run is refused by
            `preflight`.
        CheckpointError, Diverged, WriteError, Stopped: See `resume.fit`.
        PeerLost: If another process of the run is gone.
        DataError: If the data cannot be found or read.
        FolderBusy: If another process uses the folder.
        FinishError, Killed: If the finishing process failed, or died.
    """
    # Before anything imports the backend, which reads the choice once.
    processor.choose(run.hardware)
    with files.lock(folder), contextlib.ExitStack() as stack:
        claim_together(
            lambda: claim(folder, run, yields=distributed.is_chief()),
            folder / "run.yaml",
        )
        progress.say(f"    run folder: {folder}")
        if leftovers.is_cleaned(folder) and distributed.count() == 1:
            progress.say("    finished before, its checkpoint cleaned away: kept")
            return files.read_json(folder / "report.json")
        progress.expect(legs.legs(run))
        if run.finish and (missing := parent.missing_packages()):
            progress.say(
                f"    without {', '.join(missing)}, training ends with .keras files: "
                "`finish` is left out"
            )
        # Imports Keras, which is slow: a folder that is busy or another run's is
        # refused before.
        with stopwatch.working(part="imports"):
            from distill.run import training
            from distill.run.evaluation import gather, models
            from distill.teach.hardware import strategy
            from distill.teach.workspace import Workspace

        splits = data.read(run.data, lessons.pretrained_names(run))
        for line in warn.few_examples(run, len(splits.validation.labels)):
            progress.say(f"    warning: {line}")
        track = run.track if distributed.is_chief() else None
        tracker = stack.enter_context(
            trackers.open_session(track, folder, config.plain(run))
        )
        finishing = None
        if run.finish and not parent.missing_packages() and distributed.is_chief():
            finishing = parent.Finishing(folder, stack)
        with strategy.scope(strategy.resolve(run), run.hardware):
            records, tested = training.train_all(
                Workspace(run, splits, folder, tracker), finishing
            )
        # Waits for all processes: none may leave while another still trains.
        distributed.broadcast(lambda: b"")
        distributed.disconnect()
        if not distributed.is_chief():
            return None

        def measure():
            return models.measure_networks(run, splits, folder, tested)

        if finishing is None:
            networks = measure()
        else:
            made, networks = finishing.finish(measure)
            records += made
        report = gather.gather(run, splits, folder, records, networks, tracker)
        times.write(folder)
        return report
