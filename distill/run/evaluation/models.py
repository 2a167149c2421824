"""Measures the teacher, the student, its controls and its files."""

import functools
import pathlib
from typing import NamedTuple

import keras
import numpy as np

import trainers
from distill import config, data
from distill.config import lessons
from distill.data import kept
from distill.measure import cost, facts, stitching
from distill.run.evaluation import record
from distill.runtime import progress, stopwatch
from distill.runtime.trust import loader


class Networks(NamedTuple):
    """What was measured of the networks of a run.

    Attributes:
        models: The entries of `report.json`, teachers first.
        answers: Name of each to its logits on the test split.
        taught: The teacher's; None without a teacher.
        judged: The teacher's on the validation split if that has no labels, else None.
        student: The student.
        counted: Its cost.
        stitched: See `stitching.record`; empty without a stage of LIT.
    """

    models: list[dict]
    answers: dict[str, np.ndarray]
    taught: np.ndarray | None
    judged: np.ndarray | None
    student: keras.Model
    counted: cost.Cost
    stitched: list[dict]


def measure_networks(
    run: config.Run,
    splits: data.Splits,
    folder: pathlib.Path,
    tested: np.ndarray | None = None,
) -> Networks:
    """Measures every network of a run; says nothing, since others work meanwhile.

    Args:
        run: The run.
        splits: The data.
        folder: The folder of the networks.
        tested: The teacher's logits on the test split, if they are known already.
    """
    open_network = functools.cache(lambda name: loader.open_own(folder / name))
    models, answers, asked = [], {}, dict[str, np.ndarray]()
    for path in _teacher(folder):
        with stopwatch.working(part=f"measure {path.name}"):
            network = open_network(path.name) if path.suffix == ".keras" else None
            entry, asked = record.teacher_record(path, splits, network, tested)
        answers[path.stem] = asked["test"]
        models.append(entry)
    taught = asked.get("test")
    judged = None if splits.validation.has_labels else asked.get("validation")
    student = open_network("student.keras")
    counted = cost.count(student)
    for path in _learners(run, folder):
        with stopwatch.working(part=f"measure {path.name}"):
            entry, answers[path.stem] = record.model_record(
                path,
                splits.test,
                taught,
                open_network(path.name),
                counted=counted if path.stem == "student" else None,
                validation=(splits.validation, judged),
            )
        models.append(entry)
    stitched: list[dict] = []
    is_lit = any(isinstance(stage.trainer, trainers.LIT) for stage in run.stages)
    if is_lit and splits.test.has_labels:
        with stopwatch.working(part="measure stitched networks"):
            stitched = stitching.record(
                open_network("teacher.keras"), student, splits.test
            )
    return Networks(models, answers, taught, judged, student, counted, stitched)


def measure_files(
    run: config.Run,
    splits: data.Splits,
    folder: pathlib.Path,
    networks: Networks,
) -> tuple[list[dict], dict[str, np.ndarray], dict[str, facts.Facts]]:
    """Measures every `.tflite` file of a run.

    Args:
        run: The run, without the files that were not made.
        splits: The data.
        folder: The folder of the files.
        networks: What was measured of the networks.

    Returns:
        The entries of `report.json`; and by name the logits on the test split, and the
        contents of the files.
    """
    models, answers, contents = [], {}, {}
    for path in _files(run, folder):
        with progress.step(f"measure {path.name}", "accuracy, size"):
            contents[path.stem] = facts.read_facts(path)
            entry, answers[path.stem] = record.model_record(
                path,
                splits.test,
                networks.taught,
                facts=contents[path.stem],
                validation=(splits.validation, networks.judged),
            )
        models.append(entry)
    return models, answers, contents


def _teacher(folder):
    """The file of the teacher, network or answers, in a list; empty without one."""
    paths = [folder / kept.FILE, folder / "teacher.keras"]
    return [path for path in paths if path.exists()][:1]


def _learners(run, folder):
    """The file of every other network of a run, further teachers first."""
    names = []
    if isinstance(run, config.Run):
        names += [*lessons.co_teachers(run), *lessons.assistants(run)]
    names += ["student", *(control.name for control in run.controls)]
    return [folder / f"{name}.keras" for name in names]


def _files(run, folder):
    """The `.tflite` files of a run."""
    exported = [f"student.{config.name_of(part)}" for part in run.finish]
    if exported and (folder / "teacher.keras").exists():
        # `child` writes it beside the files of the student, to compare sizes with.
        exported.insert(0, "teacher.float32")
    return [folder / f"{name}.tflite" for name in exported]
