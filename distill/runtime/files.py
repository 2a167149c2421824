"""Atomic writing of files, and locking of folders."""

import atexit
import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import tempfile
import typing

from distill.runtime import errors

_TEMPORARY = ".unfinished-"


def atomic_write(path: pathlib.Path, content: bytes | str) -> None:
    """Writes a file atomically: afterwards it is complete, or unchanged.

    Args:
        path: The file; its folder must exist.
        content: Text is written as UTF-8.
    """
    with whole_file(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def read_json(path: pathlib.Path) -> typing.Any:
    """The content of a JSON file that a command has written with `atomic_write`.

    Raises:
        CheckpointError: If it was damaged since then.
    """
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise errors.CheckpointError(
            f"{path} is damaged ({error}): delete it and give the same command again, "
            "or name another folder with --out"
        ) from None


@contextlib.contextmanager
def whole_file(path: pathlib.Path):
    """Yields a temporary path in the same folder and renames it to `path` at the end.

    The temporary name keeps the suffix, from which Keras infers the format.

    Raises:
        WriteError: If writing fails; an existing file at `path` stays.
    """
    temporary = None
    try:
        handle, name = tempfile.mkstemp(
            prefix=_TEMPORARY, suffix=path.suffix, dir=path.parent
        )
        os.close(handle)
        temporary = pathlib.Path(name)
        yield temporary
        # Content before name: after a power cut, `path` must not name an empty file.
        _sync(temporary)
        # `mkstemp` makes files that only their owner may read.
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


def make_folder(folder: pathlib.Path) -> None:
    """Creates the folder of a command that needs no lock.

    Raises:
        ConfigError: If that is not possible, or nothing can be written into it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise errors.ConfigError(
            f"--out must be a folder that can be written. Received: {folder} "
            f"({error.strerror})"
        ) from None


def temporary_folder() -> pathlib.Path:
    """Creates a folder that is there until this process ends."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="distill-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextlib.contextmanager
def lock(folder: pathlib.Path):
    """Creates the folder and locks it against every other process.

    The system releases the lock when the process ends, however it ends.

    Raises:
        FolderBusy: If another process holds the lock.
        WriteError: If the folder cannot be created.
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
            # Left by a process that was killed.
            for leftover in place.glob(f"{_TEMPORARY}*"):
                leftover.unlink()
        yield


def checkpoints(folder: pathlib.Path) -> pathlib.Path:
    """The folder of a run's finished stages and checkpoints."""
    return folder / "checkpoint"
