"""Finds files that runs no longer need: answers, unused networks, checkpoints.

Runs and the networks and answers that they share are in one folder. A run that is
unfinished or in use is left as it is, and so is all that it may still use.
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
_FINAL = ("report.json", "score.json")  # Files that a command writes last.
_WEIGHTS = (".keras", ".ckpt")
_FINGERPRINT = re.compile("[0-9a-f]{16}")
_CHECKPOINT = "checkpoint"


class Leftover(NamedTuple):
    """Files that may be removed.

    Attributes:
        what: A description for the table.
        path: The folder of the files. It is removed with them, except that of a
            checkpoint.
        files: The files to remove.
        why: Why they are not needed, for the table.
    """

    what: str
    path: pathlib.Path
    files: tuple[pathlib.Path, ...]
    why: str

    @property
    def size(self) -> int:
        """Size on the disk in bytes."""
        # `st_blocks` counts 512 bytes, whatever the blocks of the file system.
        return sum(512 * file.stat().st_blocks for file in self.files)


class Retained(NamedTuple):
    """A folder that is not removed.

    Attributes:
        path: The folder.
        why: Why it stays, for the table.
    """

    path: pathlib.Path
    why: str


def find(root: pathlib.Path) -> tuple[list[Leftover], list[Retained]]:
    """Finds what can be removed below a folder of runs, and what must stay.

    Args:
        root: A folder such as `runs`, or the folder of one comparison.
    """
    leftovers: list[Leftover] = []
    retained: list[Retained] = []
    folders = [root, *sorted(path for path in root.rglob("*") if path.is_dir())]
    items = [_checkpoint(folder) for folder in folders if _is_run(folder)]
    for folder in folders:
        runs = [path.parent for path in sorted(folder.glob("*/run.yaml"))]
        items += _shared(folder, runs)
    for item in items:
        if isinstance(item, Leftover) and item.files:
            leftovers.append(item)
        elif isinstance(item, Retained):
            retained.append(item)
    return leftovers, retained


def remove(leftover: Leftover) -> None:
    """Removes a leftover, with its folder locked against other processes.

    Raises:
        FolderBusy: If a process uses the folder by now.
        WriteError: If the folder cannot be locked.
    """
    with whole_files.lock(leftover.path):
        for file in leftover.files:
            file.unlink()
        if leftover.what != _CHECKPOINT:
            shutil.rmtree(leftover.path)


def is_cleaned(folder: pathlib.Path) -> bool:
    """Whether a run is finished and its checkpoint was removed afterwards."""
    checkpoints = whole_files.checkpoints(folder)
    records = list(checkpoints.glob("student.*.json"))
    return (
        _is_finished(folder)
        and bool(records)
        and not any(path.with_suffix(".keras").exists() for path in records)
    )


def _is_run(folder):
    """Whether it is the folder of a run, and not that of a search's trials in one."""
    is_trial = (folder.parent / "search.json").is_file()
    return (folder / "run.yaml").is_file() and not is_trial


def _checkpoint(folder):
    """The weights in the checkpoint of a finished run, or why the folder stays."""
    if _is_busy(folder):
        return Retained(folder, "a process works in it")
    if not _is_finished(folder):
        return Retained(folder, "unfinished: the same command goes on from there")
    if not (folder / "student.keras").exists():
        return None  # The folder of another command, such as `score`.
    checkpoints = whole_files.checkpoints(folder)
    files = sorted(path for path in checkpoints.glob("*") if path.suffix in _WEIGHTS)
    return Leftover(_CHECKPOINT, folder, tuple(files), "its run is finished")


def _shared(folder, runs: Sequence[pathlib.Path]) -> Iterator[Leftover | Retained]:
    """Yields the networks and answers that the runs in a folder share."""
    homes = [home for kind in _SHARED for home in sorted((folder / kind).glob("*/"))]
    for home in filter(_is_ours, homes):
        use = _find_use(home, runs)
        if _is_busy(home):
            yield Retained(home, "a process works in it")
        elif use:
            yield Retained(home, use)
        else:
            why = "computed again if needed"
            if home.parent.name != "answers":
                why = "no run here uses it"
            files = tuple(path for path in home.rglob("*") if path.is_file())
            yield Leftover(_describe_kind(home.parent.name), home, files, why)


def _is_ours(home):
    """Whether a run has created a folder: a user may have others of that name."""
    return _FINGERPRINT.fullmatch(home.name) and (home / ".lock").is_file()


def _describe_kind(kind):
    return "answers" if kind == "answers" else kind.removesuffix("s")


def _find_use(home, runs):
    """Which run uses the content of a folder, or may use it, in words; or None."""
    kind = home.parent.name
    for run in runs:
        continues = not _is_finished(run) or _is_busy(run)
        if kind == "answers":
            if continues and _config(run).get("teacher", {}).get("cache"):
                return f"{run} is unfinished and caches answers"
        elif kind == "generators":
            if _config(run).get("generator"):
                return f"{run} has a generator"
        elif _has_copy(run, home):
            return f"used by {run}"
        elif continues and not any(run.glob(f"{_describe_kind(kind)}*.keras")):
            return f"{run} is unfinished and may use it"
    return None


def _has_copy(run, home):
    """Whether a run has a copy of a shared network; each run copies those it uses."""
    return any(
        filecmp.cmp(network, run / network.name, shallow=False)
        for network in home.glob("*.keras")
        if (run / network.name).is_file()
    )


def _config(run):
    return yaml.safe_load((run / "run.yaml").read_text()) or {}


def _is_finished(folder):
    return any((folder / name).is_file() for name in _FINAL)


def _is_busy(folder):
    lock = folder / ".lock"
    if not lock.exists():
        return False
    with lock.open() as file:
        try:
            # Released again when the file is closed.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
