"""Networks of a run that are files: which, their hashes, opened once."""

import functools
import pathlib
from collections.abc import Iterator

import keras

import students
from distill import config
from distill.config import lessons
from distill.runtime.hashes import file_hash
from distill.runtime.trust import loader, scan

ROLES = ("teacher", "student")


def files(run: config.Run) -> Iterator[tuple[str, pathlib.Path, str | None]]:
    """Role, path and pinned SHA-256 of each file that a network is made of."""
    for role in ROLES:
        part = part_of(role, run)
        given = None
        if part is None:
            given = run.teacher.file, run.teacher.sha256
        elif isinstance(part, students.KerasModel):
            given = part.file
        if given is not None:
            yield role, pathlib.Path(given[0]).expanduser(), given[1]


def hashes(run: config.Run) -> dict[str, str]:
    """What each file that a network of the run is made of hashes to.

    Raises:
        Untrusted: If one is nothing to open.
    """
    found = {}
    for name, part in {"teacher": run, **lessons.co_teachers(run)}.items():
        for role, path, sha256 in files(part):
            scan.members(path, sha256)
            owner = name if role == "teacher" else role
            found[f"{owner} file"] = file_hash(path)
    return found


@functools.cache
def open_file(path: str, sha256: str | None) -> keras.Model:
    """A foreign file's model, opened once in this process; not to be trained.

    Raises:
        Untrusted: If something speaks against opening it.
    """
    return loader.open_foreign(pathlib.Path(path).expanduser(), sha256)


def part_of(role, run):
    """What builds a network; None for a given file under the contract."""
    if role == "student":
        return run.student
    given = run.teacher
    if given.file is None:
        return given.network
    if given.sections is None:
        return None
    return students.KerasFile(
        path=given.file, sha256=given.sha256, sections=given.sections, weight_decay=0.0
    )
