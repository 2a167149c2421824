"""What runs leave behind that may go: answers, networks without a run, checkpoints.

Runs lie side by side; what they share lies beside them. A run that is unfinished, or in
which a process works, is left as it is, and so is all that it may still want.
"""

import fcntl
import filecmp
import pathlib
import re
import shutil
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import yaml

from distill.runtime import files as whole_files

_SHARED = ("teachers", "assistants", "generators", "answers")
_ENDS = ("report.json", "score.json")  # What a finished command writes last.
_WEIGHTS = (".keras", ".ckpt")
_FINGERPRINT = re.compile("[0-9a-f]{16}")
_CHECKPOINT = "checkpoint"


class Leftover(NamedTuple):
    """Something that may go.

    Attributes:
        what: For people.
        path: A folder; of a checkpoint, its weights alone go.
        files: What goes.
        why: Why nobody misses it.
    """

    what: str
    path: pathlib.Path
    files: tuple[pathlib.Path, ...]
    why: str

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return sum(512 * file.stat().st_blocks for file in self.files)


class Left(NamedTuple):
    """Something that stays.

    Attributes:
        path: A folder.
        why: What is in the way.
    """

    path: pathlib.Path
    why: str


def find(root: pathlib.Path) -> tuple[list[Leftover], list[Left]]:
    """What may go of a folder of runs, and of those in it; and what stays, and why.

    Args:
        root: Such as `runs`, or the folder of one comparison.
    """
    found: list[Leftover] = []
    left: list[Left] = []
    places = [root, *sorted(path for path in root.rglob("*") if path.is_dir())]
    pieces = [_checkpoint(place) for place in places if (place / "run.yaml").is_file()]
    for place in places:
        runs = [path.parent for path in sorted(place.glob("*/run.yaml"))]
        pieces += _shared(place, runs)
    for piece in pieces:
        if isinstance(piece, Leftover) and piece.files:
            found.append(piece)
        elif isinstance(piece, Left):
            left.append(piece)
    return found, left


def remove(piece: Leftover) -> None:
    """Removes it, while no other process may begin to use it.

    Raises:
        FolderBusy: If one does by now.
        WriteError: If the disk refuses.
    """
    whole = piece.what != _CHECKPOINT
    with whole_files.lock(piece.path):
        for file in piece.files:
            file.unlink()
        if whole:
            shutil.rmtree(piece.path)


def is_cleaned(folder: pathlib.Path) -> bool:
    """Whether a run is finished, and its checkpoint was removed since."""
    kept = whole_files.checkpoints(folder)
    records = list(kept.glob("student.*.json"))
    return (
        _is_finished(folder)
        and bool(records)
        and not any(path.with_suffix(".keras").exists() for path in records)
    )


def _checkpoint(folder):
    """The weights in the checkpoint of a finished run, or why it is left."""
    if _is_busy(folder):
        return Left(folder, "a process works in it")
    if not _is_finished(folder):
        return Left(folder, "unfinished: the same command goes on from there")
    if not (folder / "student.keras").exists():
        return None  # A study of another kind.
    kept = whole_files.checkpoints(folder)
    files = sorted(path for path in kept.glob("*") if path.suffix in _WEIGHTS)
    return Leftover(_CHECKPOINT, folder, tuple(files), "its run is finished")


def _shared(place, runs: Sequence[pathlib.Path]) -> Iterator[Leftover | Left]:
    """What runs share that lies beside them."""
    homes = [home for kind in _SHARED for home in sorted((place / kind).glob("*/"))]
    for home in filter(_is_ours, homes):
        wanted = _wanted(home, runs)
        if _is_busy(home):
            yield Left(home, "a process works in it")
        elif wanted:
            yield Left(home, wanted)
        else:
            why = "asked again if need be"
            if home.parent.name != "answers":
                why = "no run here uses it"
            files = tuple(path for path in home.rglob("*") if path.is_file())
            yield Leftover(_said(home.parent.name), home, files, why)


def _is_ours(home):
    """Whether a run has made it: somebody may have a folder of that name."""
    return _FINGERPRINT.fullmatch(home.name) and (home / ".lock").is_file()


def _said(kind):
    return "answers" if kind == "answers" else kind.removesuffix("s")


def _wanted(home, runs):
    """Which run uses what is kept there, or may: for people; None where none does."""
    kind = home.parent.name
    for run in runs:
        going_on = not _is_finished(run) or _is_busy(run)
        if kind == "answers":
            if going_on and _config(run).get("teacher", {}).get("cache"):
                return f"{run} is unfinished and keeps answers"
        elif kind == "generators":
            if _config(run).get("generator"):
                return f"{run} has a generator"
        elif _has_copy(run, home):
            return f"used by {run}"
        elif going_on and not any(run.glob(f"{_said(kind)}*.keras")):
            return f"{run} is unfinished and may want it"
    return None


def _has_copy(run, home):
    """Whether a run has a copy of a network that is kept; each run copies its own."""
    return any(
        filecmp.cmp(kept, run / kept.name, shallow=False)
        for kept in home.glob("*.keras")
        if (run / kept.name).is_file()
    )


def _config(run):
    return yaml.safe_load((run / "run.yaml").read_text()) or {}


def _is_finished(folder):
    return any((folder / name).is_file() for name in _ENDS)


def _is_busy(folder):
    lock = folder / ".lock"
    if not lock.exists():
        return False
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
