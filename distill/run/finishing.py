"""Runs the steps of `python -m distill.finish`, on networks trained elsewhere."""

import contextlib
import dataclasses
import pathlib
import shutil

from distill import data
from distill.compress.search import choices
from distill.compress.search.budget import Budget
from distill.config import finishing, roles
from distill.data import sidecar
from distill.report import compress_tables
from distill.run import micro, parent, times
from distill.run.evaluation import gather, models, references, warn
from distill.run.folder import check_ground, claim
from distill.runtime import progress, versions
from distill.runtime.hashes import file_hash
from distill.runtime.trust import loader
from distill.teach import incoming, stages, teacher
from distill.teach.answering import answerer
from distill.teach.networks import checks, logits
from distill.teach.workspace import Workspace


def open_networks(
    run: finishing.Finishing, splits: data.Splits, folder: pathlib.Path
) -> None:
    """Checks the networks of the config and writes them into the run's folder.

    Args:
        run: The config.
        splits: The data.
        folder: The run's folder, in which `student.keras` and, if there is a teacher,
            `teacher.keras` are written.

    Raises:
        ConfigError: If a network does not fit the data, or returns probabilities; if
            the teacher does not know the classes; or if an option of a finisher does
            not fit the student's layers.
        Untrusted: If a file may be unsafe.
    """
    split = logits.sample(splits.validation)
    sources = {"student": (run.model, run.sha256)}
    if isinstance(run.teacher, roles.Teacher):
        taught = run.as_run()
        incoming.check_answerer(taught, splits)
        teacher.obtain(Workspace(taught, splits, folder))
    elif run.teacher is not None:
        sources["teacher"] = (run.teacher, run.teacher_sha256)
    for name, (path, sha256) in sources.items():
        target = folder / f"{name}.keras"
        if not target.exists():
            file = pathlib.Path(path).expanduser()
            network = incoming.open_given(file, sha256, run.data)
            if name == "teacher":
                logits.check_teacher(network, path, split)
            else:
                answers = logits.check_logits(network, path, split)
                if ignorance := logits.find_ignorance(network, answers, split):
                    progress.say(f"    warning: {path}: {ignorance}")
            stages.save_once(network, target)
    if any(part.depends_on_layers for part in run.finish):
        checks.check_layers(run.finish, loader.open_own(folder / "student.keras"))


def ground(run: finishing.Finishing, splits: data.Splits) -> dict[str, str]:
    """What determines a run's numbers beside its config; see `folder.check_ground`."""
    hashes = {
        f"{name} file": file_hash(pathlib.Path(path).expanduser())
        for name, path in _network_files(run).items()
    }
    if isinstance(run.teacher, roles.Teacher):
        hashes["teacher"] = answerer.file_hash(run.teacher)
    hashes |= references.hashes(run)
    return {"data": splits.fingerprint(), **hashes, **versions.versions()}


def _network_files(run):
    """The files of the networks in the config, by option."""
    paths = {"model": run.model, "teacher": run.teacher}
    return {name: path for name, path in paths.items() if isinstance(path, str)}


def finish(run: finishing.Finishing, folder: pathlib.Path) -> dict:
    """Finishes and measures a network; finished steps are not repeated.

    Args:
        run: The config.
        folder: The run's folder, locked and claimed; see `folder.claim_finish`.

    Returns:
        The report, as in `report.json`.

    Raises:
        As `open_networks` and `parent.Finishing.finish`.
    """
    progress.say(f"    run folder: {folder}")
    given = ["teacher"] if isinstance(run.teacher, roles.Teacher) else []
    elsewhere = [*_network_files(run), *given, *(part.title for part in run.references)]
    splits = data.read(run.data, elsewhere)
    check_ground(folder, ground(run, splits))
    sidecar.write(folder, run.data, splits)
    for line in warn.few_examples(run, len(splits.validation.labels)):
        progress.say(f"    warning: {line}")
    references.check(run)
    with progress.step("networks", "opening and checking"):
        open_networks(run, splits, folder)
    if run.target == "micro" and not (folder / "finish.json").exists():
        micro.check(run, loader.open_own(folder / "student.keras"))
    if run.searches:
        run = _search(run, folder)
    with contextlib.ExitStack() as stack:
        records, networks = parent.Finishing(folder, stack).finish(
            lambda: models.measure_networks(run, splits, folder)
        )
    report = gather.gather(run, splits, folder, records, networks)
    times.write(folder)
    return report


def _search(run, folder):
    """Searches, and returns the winner's config: at full length, with the budget."""
    search = parent.search(folder)
    for trial in (folder / "search").glob("*/"):
        shutil.rmtree(trial)  # `search.json` has the results of all trials.
    row = next(row for row in search["trials"] if row["label"] == search["winner"])
    winner = dataclasses.replace(
        run,
        finish=choices.build(run, row["finisher"], row["options"]).steps,
        budget=dataclasses.replace(run.budget, trials=0, part=Budget.part, among=()),
    )
    print(compress_tables.table(search))
    claim(folder, winner)
    return winner
