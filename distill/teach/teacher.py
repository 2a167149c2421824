"""The teacher: given as a file, or trained once and kept for later runs."""

import pathlib
import shutil
from collections.abc import Sequence

import keras

import students
import trainers
from distill import config, data
from distill.config import cache, lessons
from distill.data import augmentation, batches
from distill.runtime import errors, files, progress, seeds
from distill.teach import fit, learner, networks, stages
from distill.teach.cache import fingerprint as cache_fingerprint
from distill.teach.hardware import fused, precision
from distill.teach.networks import build, cuts
from distill.teach.networks.files import open_file
from distill.teach.workspace import Workspace
from trainers.methods import representations

# Code that decides what a teacher becomes: packages whole, modules alone.
DECIDING = (
    students,
    trainers,
    augmentation,
    batches,
    fused,
    learner,
    networks,
    precision,
    seeds,
    stages,
    fit,
)


def obtain(work: Workspace, name: str = "teacher") -> tuple[keras.Model, list[dict]]:
    """The trained teacher, also written to `<name>.keras` in the run's folder.

    A teacher that is trained is kept beside the run, in
    `teachers/<fingerprint>/`, where later runs of the same teacher find it.

    Args:
        work: The run, its data and its folder.
        name: Of the teacher, where it is one of several.

    Returns:
        The network, and one record for each of its stages, as in `report.json`.

    Raises:
        ConfigError: If a given file is no network that these data and stages
            can use.
        FolderBusy: If another process trains the same teacher.
    """
    run, folder = work.run, work.folder
    if run.teacher.file is not None:
        progress.say(f"==> {name}: given, {run.teacher.file}")
        network = open_given(run)
        stages.save_once(network, folder / f"{name}.keras")
        return network, []
    home = cache_fingerprint.folder(
        folder, "teachers", fingerprint(run, work.splits, name)
    )
    return train(name, run.teacher.stages, home, work)


def train(
    name: str,
    steps: Sequence[config.Stage],
    home: pathlib.Path,
    work: Workspace,
    **teachers: keras.Model | None,
) -> tuple[keras.Model, list[dict]]:
    """Trains a network for every run beside this one, or opens it; and copies it.

    Args:
        name: Of the network and its file.
        steps: How it is trained.
        home: Where it is kept.
        work: The run, its data and its folder.
        **teachers: For `stages.train`: a `teacher`, a `generator`.

    Returns:
        As `stages.train`.

    Raises:
        FolderBusy: If another process trains the same network.
    """
    source = home / f"{name}.keras"
    with files.lock(home):
        network, records = stages.train(name, steps, work.at(home), **teachers)
        stages.save_once(network, source)
    with files.whole_file(work.folder / source.name) as temporary:
        shutil.copyfile(source, temporary)
    return network, records


def fingerprint(run: config.Run, splits: data.Splits, name: str = "teacher") -> str:
    """Changes with all that decides a teacher; see `fingerprint.fingerprint`."""
    options = ("teacher", "data", "augmentation", "batch_size", "seed")
    also = [name, run.hardware.decides, *cuts.identity("teacher", run)]
    return cache_fingerprint.fingerprint(
        cache.without_cache(run), splits, options, DECIDING, also
    )


def open_given(run: config.Run) -> keras.Model:
    """Loads `teacher.file`, and makes sure that this run can learn from it.

    Raises:
        ConfigError: Says what does not fit.
        Untrusted: If something speaks against opening it.
    """
    where = f"`teacher.file` = {run.teacher.file}"
    if run.teacher.sections is not None:
        return build.build("teacher", run)
    network = open_file(run.teacher.file, run.teacher.sha256)
    outputs = network.output
    if not isinstance(outputs, dict) or "logits" not in outputs:
        raise errors.ConfigError(
            f"{where} must return a dict with `logits`, or be cut into sections: set "
            "`teacher.sections: auto`. Received: a model with outputs "
            f"{sorted(outputs) if isinstance(outputs, dict) else 'unnamed'}"
        )
    wanted = (run.data.input_shape, run.data.num_classes)
    received = (tuple(network.input_shape[1:]), outputs["logits"].shape[-1])
    if received != wanted:
        raise errors.ConfigError(
            f"{where} must map inputs {wanted[0]} to {wanted[1]} classes. "
            f"Received: {received[0]} to {received[1]}"
        )
    pupil = lessons.pupil(run)
    student = pupil.student.shapes(wanted[0])
    if student is None:
        return network  # `checks.check_pairs` has compared the two.
    try:
        lessons.check_pupil(pupil, representations.shapes(network), student)
    except ValueError as mistake:
        raise errors.ConfigError(f"{where}: {mistake}") from None
    return network
