"""Runs the steps of a study on a table, in order."""

import dataclasses
import json
import pathlib

import numpy as np

from distill.run.folder import check_ground, claim
from distill.runtime import files, progress, versions
from distill.runtime.seeds import seed_of
from distill.studies.tabular import learners, report, speed, transfer
from distill.studies.tabular.rows import Rows
from distill.studies.tabular.study import Study

REPEATS = 3  # Speed is measured so many times.


def run_study(study: Study, table: Rows, folder: pathlib.Path) -> dict:
    """Runs every seed of a study; skips what is finished.

    Args:
        study: The config.
        table: All rows of the data.
        folder: Created if missing. Contains `run.yaml`, a file for each seed in
            `checkpoint/`, `report.json` and `report.html`.

    Returns:
        The report, as in `report.json`.

    Raises:
        ConfigError: If the folder holds another study.
        DataError: If the splits cannot be drawn.
        FolderBusy: If another process uses the folder.
        WriteError: If a file cannot be written.
    """
    with files.lock(folder):
        # The same folder may continue with more seeds: their number is no difference.
        claim(folder, dataclasses.replace(study, seeds=1))
        progress.say(f"    run folder: {folder}")
        ground = {"data": table.fingerprint(), **versions.versions()}
        check_ground(folder, ground)
        records = []
        for seed in range(study.seed, study.seed + study.seeds):
            path = files.checkpoints(folder) / f"seed.{seed}.json"
            if path.exists():
                progress.say(f"==> seed {seed}: finished before, kept")
            else:
                with progress.step(f"seed {seed}", "teacher, students, speed"):
                    record = run_seed(study, table, seed)
                files.atomic_write(path, json.dumps(record, indent=1))
            # Read back even if it is new: a resumed study then makes the same report.
            records.append(files.read_json(path))
        result = report.gather(study, table, records)
        files.atomic_write(folder / "report.json", json.dumps(result, indent=1))
        files.atomic_write(folder / "report.html", report.html(result))
    return result


def run_seed(study: Study, table: Rows, seed: int) -> dict:
    """Trains teacher and students of one seed and measures them on held-out rows.

    Args:
        study: The config.
        table: All rows of the data.
        seed: Decides the split and all draws.

    Returns:
        The record: `train` and `measured`, numbers of rows; `teacher`; and
        `students`, each with `transfer`, `student`, `rows` (the size of the transfer
        set), `auc` in [0, 1] and `rows_per_second`.
    """
    train, measured = scale(study, *study.data.split(table, seed, study.measured_on))
    teacher = study.teacher.fit(train.features, train.labels, seed_of(seed, "teacher"))
    models, students = {"teacher": teacher}, []
    transfer_sets = _TransferSets(train, teacher, seed)
    for part in study.transfers:
        name = transfer.label(part)
        features, targets = transfer_sets.build(part)
        for student in study.students:
            # The name and not the position decides the seed: a student that is added to
            # a config does not change the others.
            key = f"{name}/{student.label}"
            models[key] = student.fit(features, targets, seed_of(seed, key))
            score = learners.auc(measured.labels, models[key](measured.features))
            progress.say(f"    {name}, {student.label}: AUC {score:.4f}")
            students.append(
                {
                    "transfer": name,
                    "student": student.label,
                    "rows": len(features),
                    "auc": score,
                }
            )
    # `resize` repeats the rows: all studies measure speed on the same number.
    rows = np.resize(measured.features, (study.speed_rows, measured.features.shape[1]))
    rates = speed.rows_per_second(models, rows, REPEATS)
    for record in students:
        key = f"{record['transfer']}/{record['student']}"
        record["rows_per_second"] = rates[key]
    return {
        "seed": seed,
        "train": len(train.labels),
        "measured": len(measured.labels),
        "teacher": {
            "auc": learners.auc(measured.labels, teacher(measured.features)),
            "rows_per_second": rates["teacher"],
        },
        "students": students,
    }


class _TransferSets:
    """Builds the transfer sets of one seed; parts that two of them share, only once."""

    def __init__(self, train, teacher, seed):
        self.train, self.teacher, self.seed = train, teacher, seed
        self._cache = {}

    def build(self, part):
        """Features and targets of a transfer set."""
        if not part.taught:
            return self.train.features, self.train.labels
        if not part.pooled:
            return self._predict(part)
        pairs = [
            self._predict(transfer.Transfer()),
            self._predict(dataclasses.replace(part, pooled=False)),
        ]
        return tuple(np.concatenate(both) for both in zip(*pairs, strict=True))

    def _predict(self, part):
        """The rows of an unpooled set and the teacher's probabilities for them."""
        if part not in self._cache:
            seed = seed_of(self.seed, transfer.label(part))
            features = part.rows(self.train, seed)
            self._cache[part] = features, self.teacher(features)
        return self._cache[part]


def scale(study: Study, train: Rows, measured: Rows) -> tuple[Rows, Rows]:
    """Scales both splits by statistics of the training rows."""
    from sklearn import preprocessing

    if study.scaling == "standard":
        scaler = preprocessing.StandardScaler()
    else:
        scaler = preprocessing.QuantileTransformer(
            n_quantiles=min(1000, len(train.labels)), output_distribution="normal"
        )
    scaler.fit(train.features)
    return tuple(
        dataclasses.replace(rows, features=scaler.transform(rows.features))
        for rows in (train, measured)
    )
