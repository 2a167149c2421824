"""The teacher: it is loaded from a file, or trained once and reused by later runs."""

import pathlib
import shutil
from collections.abc import Sequence

import keras

import students
import trainers
from distill import config, data
from distill.config import answering, cache, lessons
from distill.data import augmentation, batches, kept
from distill.runtime import errors, files, progress, seeds, strided
from distill.teach import fit, learner, networks, shared, stages
from distill.teach.answering import stand_in
from distill.teach.cache import fingerprint as cache_fingerprint
from distill.teach.cache import layout as cache_layout
from distill.teach.cache import store
from distill.teach.hardware import fused, precision, training
from distill.teach.networks import build, cuts
from distill.teach.networks.files import open_file
from distill.teach.workspace import Workspace
from trainers.methods import representations

# Modules, and packages with all their modules, whose code influences its weights.
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
    strided,
    training,
    fit,
)


def obtain(work: Workspace, name: str = "teacher") -> tuple[keras.Model, list[dict]]:
    """Loads the teacher or trains it, and writes `<name>.keras` in the run's folder.

    A trained teacher is stored beside the run's folder, in `teachers/<fingerprint>/`,
    where later runs with the same teacher find it.

    Args:
        work: The run, its data and its folder.
        name: The teacher's name, where there are several.

    Returns:
        The network, and one record for each of its stages, as in `report.json`.

    Raises:
        ConfigError: If `teacher.file` does not fit the data and the stages.
    """
    run, folder = work.run, work.folder
    if answering.form_of(run.teacher) is not None:
        return _ask_once(work), []
    if run.teacher.file is not None:
        progress.say(f"==> {name}: given, {run.teacher.file}")
        network = open_given(run)
        stages.save_once(network, folder / f"{name}.keras")
        return network, []
    home = cache_fingerprint.folder(
        folder, "teachers", fingerprint(run, work.splits, name)
    )
    return train(name, run.teacher.stages, home, work)


def _ask_once(work):
    """The stand-in of a teacher that only answers; writes its logits, if it has some.

    In place of `teacher.keras`, the finishers, which need logits of the training and
    validation examples, and the report have `teacher.npz`.
    """
    run = work.run
    network = stand_in.build(run)
    path = work.folder / kept.FILE
    answerer = stand_in.answerer_of(network)
    if "logits" not in answerer.shapes:
        progress.say(f"==> teacher: features without classes, {answerer.where}")
    elif not path.exists():
        progress.say(f"==> teacher: only answers, {answerer.where}")
        trains = any(getattr(part, "epochs", 0) for part in run.finish)
        count = (run.augmentation.variants or 1) if trains else 0
        shape = answerer.shapes["logits"]
        layout = cache_layout.Layout(cache.Cache(), (("logits", shape),), None)
        counts = {"train": count, "validation": 1, "test": 1}
        answers = store.keep(work, answerer, layout, counts, run.batch_size)
        arrays = {name: answers[name].all("logits") for name in counts if counts[name]}
        with files.whole_file(path) as temporary:
            kept.write(temporary, arrays)
    return network


def train(
    name: str,
    steps: Sequence[config.Stage],
    home: pathlib.Path,
    work: Workspace,
    **teachers: keras.Model | None,
) -> tuple[keras.Model, list[dict]]:
    """Trains a network that several runs share, or loads it; copies it into the run.

    Args:
        name: Name of the network and of its file.
        steps: The stages that train it.
        home: The folder where it is stored.
        work: The run, its data and its folder.
        **teachers: Arguments of `stages.train`: a `teacher`, a `generator`.

    Returns:
        As `stages.train`.
    """
    source = home / f"{name}.keras"
    with shared.lock(home, name):
        network, records = stages.train(name, steps, work.at(home), **teachers)
        stages.save_once(network, source)
    with files.whole_file(work.folder / source.name) as temporary:
        shutil.copyfile(source, temporary)
    return network, records


def fingerprint(run: config.Run, splits: data.Splits, name: str = "teacher") -> str:
    """A hash of everything that determines a teacher."""
    options = ("teacher", "data", "augmentation", "batch_size", "seed")
    also = [name, run.hardware.decides, *cuts.identity("teacher", run)]
    return cache_fingerprint.fingerprint(
        answering.without_cache(run), splits.labelled_alone, options, DECIDING, also
    )


def open_given(run: config.Run) -> keras.Model:
    """Opens a given teacher, and checks that this run can use it.

    One that only answers has a stand-in, which has its shapes and cannot be run.

    Raises:
        ConfigError: If its inputs, outputs or representations do not fit.
        Untrusted: If the file may be unsafe.
    """
    form = answering.form_of(run.teacher) or "file"
    where = f"`teacher.{form}` = {getattr(run.teacher, form)}"
    if run.teacher.sections is not None:
        return build.build("teacher", run)
    if answering.form_of(run.teacher) is not None:
        return _check_representations(run, stand_in.build(run), where)
    network = open_file(run.teacher.file, run.teacher.sha256)
    outputs = network.output
    if not isinstance(outputs, dict) or "logits" not in outputs:
        raise errors.ConfigError(
            f"{where} must return a dict with `logits`, or be cut into sections: set "
            "`teacher.sections: auto`. Received: a model with outputs "
            f"{sorted(outputs) if isinstance(outputs, dict) else 'unnamed'}"
        )
    expected = (run.data.input_shape, run.data.num_classes)
    received = (tuple(network.input_shape[1:]), outputs["logits"].shape[-1])
    if received != expected:
        raise errors.ConfigError(
            f"{where} must map inputs {expected[0]} to {expected[1]} classes. "
            f"Received: {received[0]} to {received[1]}"
        )
    return _check_representations(run, network, where)


def _check_representations(run, network, where):
    """The network, if the stages can use its representations."""
    pupil = lessons.pupil(run)
    student = pupil.student.shapes(run.data.input_shape)
    if student is None:
        # Only building the student gives its shapes; `checks.check_pairs` did so and
        # compared them.
        return network
    try:
        lessons.check_pupil(pupil, representations.features(network), student)
    except ValueError as error:
        raise errors.ConfigError(f"{where}: {error}") from error
    return network
