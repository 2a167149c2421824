"""Runs the steps of a study of generators, in order."""

import dataclasses
import json
import pathlib

from distill import data
from distill.run.folder import check_ground, claim
from distill.runtime import files, progress, versions
from distill.studies.generate import measurement, report, training
from distill.studies.generate.study import Study
from distill.teach import stages

EXPORTED = ("teacher", "student")


def run_study(study: Study, folder: pathlib.Path) -> dict:
    """Runs every seed of a study; skips what is finished.

    Args:
        study: The config.
        folder: Created if missing. Contains `run.yaml`, `report.json`, `report.html`,
            and for each seed a folder with `teacher.keras`, `student.keras`,
            `scratch.keras` and the TFLite files.

    Returns:
        The report, as in `report.json`.

    Raises:
        ConfigError: If the folder holds another study.
        CheckpointError, Diverged, WriteError, Stopped: See `resume.fit`.
        DataError: If the data cannot be found or read.
        FolderBusy: If another process uses the folder.
    """
    with files.lock(folder):
        # The same folder may continue with more seeds: their number is no difference.
        claim(folder, dataclasses.replace(study, seeds=1))
        progress.say(f"    run folder: {folder}")
        splits = data.read(study.data)
        import keras

        ground = {"data": splits.fingerprint(), "backend": keras.backend.backend()}
        check_ground(folder, {**ground, **versions.versions()})

        # Before the classifier is trained, which takes longer than anything that is
        # checked.
        measurement.check(splits, study.data.class_names)
        judge = measurement.Judge(
            training.classifier(study, splits, folder), splits, study.measured
        )
        records = [
            _load_or_run(study, splits, seed, folder, judge)
            for seed in range(study.seed, study.seed + study.seeds)
        ]
        result = report.gather(study, splits, judge, records)
        sheets = report.sheets(folder / _seed_name(study.seed), splits)
        files.atomic_write(folder / "report.json", json.dumps(result, indent=1))
        files.atomic_write(folder / "report.html", report.html(result, sheets))
    return result


def run_seed(
    study: Study, splits: data.Splits, seed: int, folder: pathlib.Path, judge
) -> dict:
    """Trains and measures all generators of one seed.

    Args:
        study: The config.
        splits: The data.
        seed: Decides everything but the classifier.
        folder: The folder of the seed.
        judge: A `measurement.Judge`.

    Returns:
        The record: `seed`, `stages`, and `models`, name to measurements.
    """
    import keras

    folder.mkdir(parents=True, exist_ok=True)
    seed_training = training.SeedTraining(study, splits, seed, folder)
    seed_training.train()
    models = {}
    for name, network in seed_training.networks.items():
        with progress.step(f"{name}, seed {seed}", "translating test images"):
            stages.save_once(network, folder / f"{name}.keras")
            models[name] = {
                **measurement.costs(network),
                **judge.scores(network, study.data.num_classes),
            }
            # Only TensorFlow converts to TFLite.
            if name in EXPORTED and keras.backend.backend() == "tensorflow":
                path = folder / f"{name}.float32.tflite"
                models[name] |= measurement.export_and_measure(
                    network, path, splits.test
                )
    return {"seed": seed, "models": models, "stages": seed_training.records}


def _load_or_run(study, splits, seed, folder, judge):
    """The record of a seed, which is run unless its file exists."""
    seed_folder = folder / _seed_name(seed)
    path = seed_folder / "seed.json"
    if path.exists():
        progress.say(f"==> seed {seed}: finished before, kept")
    else:
        record = run_seed(study, splits, seed, seed_folder, judge)
        files.atomic_write(path, json.dumps(record, indent=1))
    # Read back even if it is new: a resumed study then makes the same report.
    return files.read_json(path)


def _seed_name(seed):
    return f"seed={seed}"
