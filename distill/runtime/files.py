"""Files that appear whole or not at all, and folders that one process holds alone."""

import contextlib
import fcntl
import os
import pathlib
import tempfile

from distill.runtime import errors

_TEMPORARY = ".unfinished-"


def atomic_write(path: pathlib.Path, content: bytes | str) -> None:
    """Writes a file so that it is there whole or not at all.

    Args:
        path: The file; its folder must exist.
        content: Text is written as UTF-8.
    """
    with whole_file(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def whole_file(path: pathlib.Path):
    """Gives a temporary path in the same folder; at the end it becomes `path`.

    The temporary name keeps the suffix, by which Keras tells formats apart.

    Raises:
        WriteError: If the disk refuses; what stood at `path` stays.
    """
    temporary = None
    try:
        handle, name = tempfile.mkstemp(
            prefix=_TEMPORARY, suffix=path.suffix, dir=path.parent
        )
        os.close(handle)
        temporary = pathlib.Path(name)
        yield temporary
        _sync(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise errors.WriteError(
            f"cannot write {path}: {reason}. Make room, then give the same command: "
            "it goes on from what was saved last"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _sync(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def lock(folder: pathlib.Path):
    """Makes the folder and keeps every other process out of it.

    The lock belongs to the process, so that a dead one leaves none behind.

    Raises:
        FolderBusy: If another process holds it.
        WriteError: If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise errors.WriteError(
            f"cannot write into {folder}: {error.strerror}. Name another with --out"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise errors.FolderBusy(
                f"{folder} is in use by another process: wait for it, or name "
                "another folder with --out"
            ) from None
        for place in (folder, checkpoints(folder)):
            for left in place.glob(f"{_TEMPORARY}*"):  # By a process that was killed.
                left.unlink()
        yield


def checkpoints(folder: pathlib.Path) -> pathlib.Path:
    """Where a run's finished stages and last moments are."""
    return folder / "checkpoint"
