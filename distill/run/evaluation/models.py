"""Measures the teacher, the student, its controls and its files."""

import pathlib
from collections.abc import Mapping

import keras
import numpy as np

from distill import config, data
from distill.config import lessons
from distill.data import kept
from distill.measure import accuracy, cost, facts
from distill.run.evaluation import record
from distill.runtime import progress
from distill.runtime.trust import loader


def measure(
    run: config.Run,
    splits: data.Splits,
    folder: pathlib.Path,
    taught: np.ndarray | None,
    known: Mapping[str, tuple[keras.Model, cost.Cost]],
) -> tuple[list[dict], dict[str, np.ndarray], dict[str, facts.Facts]]:
    """Measures every model of a run, teachers first.

    Args:
        run: The run, without the files that were not made.
        splits: The data.
        folder: The folder of the models.
        taught: The teacher's logits on the test split; None without a teacher.
        known: Name to the networks that are open already, and their costs.

    Returns:
        The entries of `report.json`; and by name the logits on the test split, and the
        contents of the `.tflite` files.
    """
    models, answers, contents = [], {}, {}
    unknown = not splits.validation.has_labels
    judged = (
        teacher_logits(folder, splits.validation, "validation") if unknown else None
    )
    if (folder / kept.FILE).exists():
        entry, answers["teacher"] = record.answers_record(folder / kept.FILE, splits)
        models.append(entry)
    for path in _files(run, folder, (folder / "teacher.keras").exists()):
        network, counted = known.get(path.stem, (None, None))
        with progress.step(f"measure {path.name}", "accuracy, size"):
            if path.suffix == ".tflite":
                contents[path.stem] = facts.read_facts(path)
            entry, answers[path.stem] = record.model_record(
                path,
                splits.test,
                taught,
                network,
                facts=contents.get(path.stem),
                counted=counted,
                validation=(splits.validation, judged),
            )
        models.append(entry)
    return models, answers, contents


def teacher_logits(
    folder: pathlib.Path, split: data.Split, name: str = "test"
) -> np.ndarray | None:
    """The teacher's logits; None without a teacher.

    Args:
        folder: The folder of the models.
        split: A split.
        name: Its name.
    """
    if (folder / kept.FILE).exists():
        return kept.read(folder / kept.FILE)[name][0]
    path = folder / "teacher.keras"
    return accuracy.logits(loader.open_own(path), split) if path.exists() else None


def _files(run, folder, has_teacher):
    """The file of every model of a run, teachers first."""
    keras_files = ["teacher"] if has_teacher else []
    if isinstance(run, config.Run):
        keras_files += [*lessons.co_teachers(run), *lessons.assistants(run)]
    keras_files += ["student", *(control.name for control in run.controls)]
    exported = [f"student.{config.name_of(part)}" for part in run.finish]
    if exported and has_teacher:
        # `child` writes it beside the files of the student, to compare sizes with.
        exported.insert(0, "teacher.float32")
    return [
        *(folder / f"{name}.keras" for name in keras_files),
        *(folder / f"{name}.tflite" for name in exported),
    ]
