"""The steps of `python -m distill.finish`, and the networks that it is given."""

import dataclasses
import pathlib
import shutil

from distill import data
from distill.compress.search import choices
from distill.compress.search.budget import Budget
from distill.config import finishing
from distill.data import sidecar
from distill.report import compress_tables
from distill.run import gather, parent
from distill.run.folder import check_ground, claim, is_begun
from distill.runtime import errors, files, progress, versions
from distill.runtime.hashes import file_hash
from distill.teach import incoming, stages
from distill.teach.networks import logits


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
            probabilities; or if the teacher does not know the classes.
        Untrusted: If something speaks against opening a file.
    """
    split = logits.sample(splits.validation)
    given = {"student": (run.model, run.sha256)}
    if run.teacher is not None:
        given["teacher"] = (run.teacher, run.teacher_sha256)
    for name, (path, sha256) in given.items():
        kept = folder / f"{name}.keras"
        if not kept.exists():
            file = pathlib.Path(path).expanduser()
            network = incoming.open_given(file, sha256, run.data)
            teaches = name == "teacher"
            ask = logits.check_teacher if teaches else logits.check_logits
            ask(network, path, split)
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
