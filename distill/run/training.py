"""Every network of a run, trained in order, up to the student and its controls."""

import keras

from distill import config, data
from distill.data import sidecar
from distill.measure import accuracy as measure_accuracy
from distill.run import preflight
from distill.run.folder import GROUND, check_ground, claim_together
from distill.runtime import files, progress, versions
from distill.runtime.process import distributed
from distill.teach import assistants, generator, stages, teacher
from distill.teach.networks import checks
from distill.teach.networks.files import hashes
from distill.teach.workspace import Workspace


def ground(run: config.Run, splits: data.Splits) -> dict[str, str]:
    """What a run's numbers stand on beside its config; see `folder.check_ground`.

    Raises:
        Untrusted: If the file of a network is nothing to open.
    """
    found = {"data": splits.fingerprint(), "backend": keras.backend.backend()}
    return {**found, **hashes(run), **versions.versions()}


def train_all(work: Workspace) -> list[dict]:
    """Every network of the run in order.

    Args:
        work: The run, its data and its folder.

    Returns:
        The records of their stages, as in `report.json`.
    """
    run, splits, folder = work.run, work.splits, work.folder
    claim_together(
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
