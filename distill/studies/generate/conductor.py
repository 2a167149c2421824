"""The steps of a study of generators, in order."""

import dataclasses
import json
import pathlib

from distill import data
from distill.run.folder import check_ground, claim
from distill.runtime import files, progress, versions
from distill.studies.generate import measured, report, training
from distill.studies.generate.study import Study
from distill.teach import stages

EXPORTED = ("teacher", "student")


def run_study(study: Study, folder: pathlib.Path) -> dict:
    """Every seed of a study; what is finished is not done again.

    Args:
        study: What to do.
        folder: Made if need be. Holds `run.yaml`, `report.json` and `report.html`,
            and for each seed a folder with `teacher.keras`, `student.keras`,
            `scratch.keras` and the TFLite files.

    Returns:
        The report, as in `report.json`.

    Raises:
        ConfigError: If the folder holds another study.
        CheckpointError, Diverged, WriteError, Stopped: See `resume.fit`.
        DataError: If the data cannot be had.
        FolderBusy: If another process works there.
    """
    with files.lock(folder):
        # More seeds go on in the same folder.
        claim(folder, dataclasses.replace(study, seeds=1))
        progress.say(f"    run folder: {folder}")
        splits = data.read(study.data)
        import keras

        ground = {"data": splits.fingerprint(), "backend": keras.backend.backend()}
        check_ground(folder, {**ground, **versions.versions()})

        measured.check(splits, study.data.class_names)
        judge = measured.Judge(
            training.classifier(study, splits, folder), splits, study.measured
        )
        records = [
            _once(study, splits, seed, folder, judge)
            for seed in range(study.seed, study.seed + study.seeds)
        ]
        result = report.gather(study, splits, judge, records)
        sheets = report.sheets(folder / _home(study.seed), splits)
        files.atomic_write(folder / "report.json", json.dumps(result, indent=1))
        files.atomic_write(folder / "report.html", report.html(result, sheets))
    return result


def run_seed(
    study: Study, splits: data.Splits, seed: int, home: pathlib.Path, judge
) -> dict:
    """All generators of one seed, trained and measured.

    Args:
        study: What to do.
        splits: The data.
        seed: Decides all but the classifier.
        home: The folder of the seed.
        judge: A `measured.Judge`.

    Returns:
        The record: `seed`, `stages`, and `models`, name to what was measured.
    """
    import keras

    home.mkdir(parents=True, exist_ok=True)
    lesson = training.Lesson(study, splits, seed, home)
    lesson.give()
    models = {}
    for name, network in lesson.networks.items():
        with progress.step(f"{name}, seed {seed}", "turning test images, measuring"):
            stages.save_once(network, home / f"{name}.keras")
            models[name] = {
                **measured.costs(network),
                **judge.scores(network, study.data.num_classes),
            }
            if name in EXPORTED and keras.backend.backend() == "tensorflow":
                path = home / f"{name}.float32.tflite"
                models[name] |= measured.export_and_measure(network, path, splits.test)
    return {"seed": seed, "models": models, "stages": lesson.records}


def _once(study, splits, seed, folder, judge):
    home = folder / _home(seed)
    done = home / "seed.json"
    if done.exists():
        progress.say(f"==> seed {seed}: finished before, kept")
    else:
        record = run_seed(study, splits, seed, home, judge)
        files.atomic_write(done, json.dumps(record, indent=1))
    return json.loads(done.read_text())


def _home(seed):
    return f"seed={seed}"
