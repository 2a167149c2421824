"""Trains the networks of a run in order, up to the student and its controls."""

import keras
import numpy as np

from distill import config, data
from distill.data import kept, sidecar
from distill.measure import accuracy as measure_accuracy
from distill.run import parent, preflight
from distill.run.evaluation import references
from distill.run.folder import GROUND, check_ground, claim_together
from distill.runtime import files, progress, versions
from distill.runtime.process import distributed
from distill.teach import assistants, generator, memory, stages, teacher
from distill.teach.networks import checks
from distill.teach.networks.files import hashes
from distill.teach.workspace import Workspace


def ground(run: config.Run, splits: data.Splits) -> dict[str, str]:
    """What determines a run's numbers beside its config; see `folder.check_ground`.

    Raises:
        Untrusted: If the file of a network may be unsafe.
    """
    ground = {"data": splits.fingerprint(), "backend": keras.backend.backend()}
    files = hashes(run) | references.hashes(run)
    return {**ground, **files, **versions.versions()}


def train_all(
    work: Workspace, finishing: parent.Finishing | None
) -> tuple[list[dict], np.ndarray | None]:
    """Checks the run, then trains its networks in order.

    Args:
        work: The run, its data and its folder.
        finishing: Started with the student, so that its imports and trials take no
            time of their own; None if nothing is finished.

    Returns:
        The records of their stages, as in `report.json`; and the teacher's logits on
        the test split, None without a teacher that has some.
    """
    run, splits, folder = work.run, work.splits, work.folder
    # Before anything is trained: another process may have other data or versions.
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
    # The teacher first, since assistants and students learn from it.
    network, records = teacher.obtain(work)
    tested = _test_teacher(network, splits.test, folder / kept.FILE)
    generator_network, more = generator.obtain(work)
    records += more
    teachers, more = assistants.obtain(work, network, generator_network)
    records += more
    students = [("student", run.stages, teachers.last)]
    students += [
        (
            part.name,
            part.stages,
            teachers.first if part.skips_assistants else teachers.last,
        )
        for part in run.controls
    ]
    # Controls last: whoever stops a run early has the student.
    if finishing is not None and memory.has_room_for_another():
        finishing.start()
    for name, steps, network in students:
        student, more = stages.train(
            name, steps, work, teacher=network, generator=generator_network
        )
        records += more
        stages.save_once(student, folder / f"{name}.keras")
    return records, tested


def _test_teacher(network, split, file):
    """The teacher's logits on the test split, in `file` if it only answers, or None."""
    if "logits" not in network.output:
        return None
    answers = (
        kept.read(file)["test"][0]
        if file.exists()
        else measure_accuracy.logits(network, split)
    )
    if split.has_labels:
        accuracy = measure_accuracy.accuracy(answers, split)
        progress.say(f"    teacher: {accuracy:.2f} % of the test split")
    return answers
