"""The steps of `python -m distill.finish`, and the networks that it is given."""

import dataclasses
import pathlib
import shutil
from typing import Any

import keras
import numpy as np

from distill import data
from distill.compress.search import choices
from distill.compress.search.budget import Budget
from distill.config import finishing
from distill.data import sidecar
from distill.measure import accuracy
from distill.report import compress_tables
from distill.run import gather, parent
from distill.run.folder import check_ground, claim, is_begun
from distill.runtime import errors, files, progress, versions
from distill.runtime.hashes import file_hash
from distill.runtime.trust import loader
from distill.teach import stages

CHECKED = 256  # Examples that tell logits from probabilities.
_CURE = (
    "`model.layers[-1].activation = keras.activations.linear`, or leave the last "
    "layer out: `keras.Model(model.inputs, model.layers[-2].output)`; then save it"
)


def open_networks(
    run: finishing.Finishing, splits: data.Splits, folder: pathlib.Path
) -> None:
    """Writes the given networks into the run's folder, as the finishers want them.

    Args:
        run: The config.
        splits: The data.
        folder: `student.keras` and, if there is one, `teacher.keras` are written.

    Raises:
        ConfigError: If a network does not fit the data, or answers with
            probabilities.
        Untrusted: If something speaks against opening a file.
    """
    given = {"student": (run.model, run.sha256)}
    if run.teacher is not None:
        given["teacher"] = (run.teacher, run.teacher_sha256)
    for name, (path, sha256) in given.items():
        kept = folder / f"{name}.keras"
        if not kept.exists():
            network = _open(pathlib.Path(path).expanduser(), sha256, run.data)
            _check_logits(network, path, splits)
            stages.save_once(network, kept)


def ground(run: finishing.Finishing, splits: data.Splits) -> dict[str, str]:
    """What a run's numbers stand on beside its config; see `folder.check_ground`."""
    hashes = {
        f"{name} file": file_hash(pathlib.Path(path).expanduser())
        for name, path in _given(run).items()
    }
    return {"data": splits.fingerprint(), **hashes, **versions.versions()}


def _given(run):
    """Name of each given network to its file."""
    given = {"model": run.model, "teacher": run.teacher}
    return {name: path for name, path in given.items() if path is not None}


def _open(path, sha256, dataset):
    """A foreign network under the contract of `students`, if it fits the data."""
    network = loader.open_foreign(path, sha256)
    if isinstance(network, keras.Sequential):
        network = keras.Model(network.inputs, network.outputs[0], name=network.name)
    outputs = network.output
    logits = outputs.get("logits") if isinstance(outputs, dict) else outputs
    if len(network.inputs) != 1 or not hasattr(logits, "shape"):
        raise errors.ConfigError(
            f"{path} must map one input to logits, or to a dict with `logits`. "
            f"Received: {len(network.inputs)} inputs, and "
            f"{sorted(outputs) if isinstance(outputs, dict) else 'several outputs'}"
        )
    wanted = dataset.input_shape, (dataset.num_classes,)
    received = tuple(network.inputs[0].shape[1:]), tuple(logits.shape[1:])
    if received != wanted:
        raise errors.ConfigError(
            f"{path} must map inputs {wanted[0]} to {wanted[1][0]} logits. "
            f"Received: {received[0]} to {received[1]}"
        )
    return keras.Model(network.inputs[0], {"logits": logits}, name=network.name)


def _check_logits(network: Any, path: str, splits: data.Splits) -> None:
    answers = accuracy.logits(network, splits.train.take(slice(CHECKED)))
    if answers.min() >= 0 and np.allclose(answers.sum(-1), 1, atol=1e-3):
        raise errors.ConfigError(
            f"{path} answers with probabilities, and logits are wanted (before "
            f"softmax): {_CURE}"
        )


def finish(run: finishing.Finishing, folder: pathlib.Path) -> dict:
    """The steps in order; a step that is finished is not run again.

    Args:
        run: The config.
        folder: Of the run; made if need be.

    Returns:
        The report, as in `report.json`.

    Raises:
        As `open_networks`, and as `parent.finish`.
    """
    with files.lock(folder):
        _claim(folder, run)
        progress.say(f"    run folder: {folder}")
        splits = data.read(run.data, list(_given(run)))
        check_ground(folder, ground(run, splits))
        sidecar.write(folder, run.data, splits)
        for line in gather.few(run, len(splits.validation.labels)):
            progress.say(f"    warning: {line}")
        with progress.step("networks", "opening what was given"):
            open_networks(run, splits, folder)
        if run.searches:
            run = _found(run, folder)
        records = parent.finish(folder)
        return gather.gather(run, splits, folder, records)


def _claim(folder, run):
    """Claims the folder; for a search, a folder in it, until there is a winner.

    Raises:
        ConfigError: If the folder belongs to another run.
    """
    search = folder / "search"
    if not run.searches:
        claim(folder, run)
        return
    if (folder / "run.yaml").exists() and not (search / "run.yaml").exists():
        raise errors.ConfigError(
            f"{folder} holds a run without a search: name another folder with --out"
        )
    search.mkdir(exist_ok=True)
    # What a search saves lies beside its folder.
    claim(search, run, yields=not is_begun(folder))


def _found(run, folder):
    """The run of the winner, at full length and bound to the budget."""
    tried = parent.search(folder)
    for place in (folder / "search").glob("*/"):
        shutil.rmtree(place)  # What was tried is written in `search.json`.
    won = next(row for row in tried["trials"] if row["label"] == tried["winner"])
    winner = dataclasses.replace(
        run,
        finish=choices.build(run, won["finisher"], won["options"]).steps,
        budget=dataclasses.replace(run.budget, trials=0, part=Budget.part, among=()),
    )
    print(compress_tables.table(tried))
    claim(folder, winner)
    return winner
