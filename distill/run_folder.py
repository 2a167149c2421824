"""The folder of a run: one process at a time, one config, whole files only."""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import os
import pathlib
import tempfile
from typing import Any

from distill import config

PACKAGES = (
    "distill",
    "keras",
    "tensorflow",
    "tf_keras",
    "tensorflow-model-optimization",
    "ai-edge-litert",
    "numpy",
    "scikit-learn",
)

# Read by TensorFlow as it is imported: oneDNN's kernels differ in the last bits.
KERNELS = "TF_ENABLE_ONEDNN_OPTS"

GROUND = "ground.json"  # In `checkpoint/`: what a run's numbers stand on.

_TEMPORARY = ".unfinished-"
# What a run writes before it makes anything that one would miss.
_BEFORE = {".lock", "run.yaml", GROUND, "tokenizer.json"}


class FolderBusy(RuntimeError):
    """Another process works in the folder."""


class WriteError(RuntimeError):
    """The disk refuses a file."""


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
        raise WriteError(
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
def occupied(folder: pathlib.Path):
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
        raise WriteError(
            f"cannot write into {folder}: {error.strerror}. Name another with --out"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FolderBusy(
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


def claim(folder: pathlib.Path, run: Any, *, yields: bool = True) -> None:
    """Writes `run.yaml`, or makes sure that the one there is the same run.

    Args:
        folder: Of the run.
        run: A `config.Run`, or the whole config of another command.
        yields: Whether a run of which nothing was saved gives way to another: it may
            have been refused.

    Raises:
        ConfigError: If the folder belongs to a run of another config; names
            every difference.
    """
    path = folder / "run.yaml"
    if path.exists():
        old = config.read(type(run), path)
        changes = _differences(config.plain(old), config.plain(run))
        if not changes:
            return
        if not yields or is_begun(folder):
            raise config.ConfigError(
                f"{folder} holds a run of another config "
                f"({'; '.join(changes)}): name another folder with --out"
            )
    lines = [f"# {name} {version}" for name, version in versions().items()]
    atomic_write(path, "\n".join([*lines, config.dump(run)]))


def is_begun(folder: pathlib.Path) -> bool:
    """Whether something was saved, in it or below, that one would miss."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return any(path.name not in _BEFORE for path in files)


def stay_with(
    folder: pathlib.Path, ground: dict[str, str], *, yields: bool = True
) -> None:
    """Notes what a run's numbers stand on, or makes sure that it is still the same.

    Args:
        folder: The run's folder.
        ground: Name to value: versions, backend, the data's fingerprint.
        yields: See `claim`.

    Raises:
        ConfigError: Names every difference: half a run on other ground would
            be neither run.
    """
    path = checkpoints(folder) / GROUND
    if path.exists():
        changes = _differences(json.loads(path.read_text()), ground)
        if not changes:
            return
        if not yields or is_begun(folder):
            raise config.ConfigError(
                f"{folder} was begun on other ground ({'; '.join(changes)}): go back "
                "to it, or name another folder with --out"
            )
    path.parent.mkdir(exist_ok=True)
    atomic_write(path, json.dumps(ground, indent=1))


def versions() -> dict[str, str]:
    """Name to version of what decides a run's numbers: packages, and the kernels."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return {**found, KERNELS: os.environ.get(KERNELS, "as TensorFlow chooses")}


def fingerprint(*pieces: str) -> str:
    """SHA-256 over texts, each apart from the next; 16 hexadecimal digits."""
    sha = hashlib.sha256()
    for piece in pieces:
        sha.update(len(piece).to_bytes(8, "big") + piece.encode())
    return sha.hexdigest()[:16]


def _differences(old, new, where=""):
    """Each place where two trees of plain data differ, as `a.b: old -> new`."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = list(dict.fromkeys([*old, *new]))
        pairs = [(f"{where}.{key}", old.get(key), new.get(key)) for key in keys]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [
            (f"{where}[{index}]", *both)
            for index, both in enumerate(zip(old, new, strict=True))
        ]
    else:
        return [] if old == new else [f"{where.lstrip('.')}: {old} -> {new}"]
    return [change for name, a, b in pairs for change in _differences(a, b, name)]
