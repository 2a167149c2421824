"""The model files of a run's networks: their paths, their hashes, opening them once."""

import functools
import pathlib
from collections.abc import Iterator

import keras

import students
from distill import config
from distill.config import answering, lessons
from distill.runtime.hashes import file_hash
from distill.runtime.trust import loader, scan
from distill.teach.answering import answerer

ROLES = ("teacher", "student")


def files(run: config.Run) -> Iterator[tuple[str, pathlib.Path, str | None]]:
    """Yields role, path and pinned SHA-256 of each file that a network comes from."""
    for role in ROLES:
        part = part_of(role, run)
        file = None
        if part is None and run.teacher.file is not None:
            file = run.teacher.file, run.teacher.sha256
        elif isinstance(part, students.KerasModel):
            file = part.file
        if file is not None:
            yield role, pathlib.Path(file[0]).expanduser(), file[1]


def hashes(run: config.Run) -> dict[str, str]:
    """The SHA-256 of each file that a network of the run comes from.

    Returns:
        Name such as `student file` to hash.

    Raises:
        Untrusted: If a file may be unsafe, or its hash is not the pinned one.
    """
    hashes = {}
    for name, part in {"teacher": run, **lessons.co_teachers(run)}.items():
        for role, path, sha256 in files(part):
            scan.members(path, sha256)
            owner = name if role == "teacher" else role
            hashes[f"{owner} file"] = file_hash(path)
        if answering.form_of(part.teacher) is not None:
            hashes[f"{name} file"] = answerer.file_hash(part.teacher)
    return hashes


@functools.cache
def open_file(path: str, sha256: str | None) -> keras.Model:
    """Opens a foreign model file, once in this process.

    The model is shared by all callers, so it must not be trained.

    Raises:
        Untrusted: If the file may be unsafe.
    """
    return loader.open_foreign(pathlib.Path(path).expanduser(), sha256)


def part_of(role, run):
    """The config of a network; None for a teacher that is none of `students`' own."""
    if role == "student":
        return run.student
    teacher = run.teacher
    if teacher.file is None:
        return teacher.network  # None of a teacher that only answers.
    if teacher.sections is None:
        return None
    return students.KerasFile(
        path=teacher.file,
        sha256=teacher.sha256,
        sections=teacher.sections,
        weight_decay=0.0,
    )
