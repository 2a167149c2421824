"""The folder of a run: one process at a time, one config, whole files only."""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import os
import pathlib
import tempfile

from distill import config

PACKAGES = (
    "distill",
    "keras",
    "tensorflow",
    "tf_keras",
    "tensorflow-model-optimization",
    "ai-edge-litert",
    "numpy",
)


class FolderBusy(RuntimeError):
    """Another process works in the folder."""


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
    """
    handle, name = tempfile.mkstemp(
        prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent
    )
    os.close(handle)
    temporary = pathlib.Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def occupied(folder: pathlib.Path):
    """Makes the folder and keeps every other process out of it.

    The lock belongs to the process, so that a dead one leaves none behind.

    Raises:
        FolderBusy: If another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FolderBusy(
                f"{folder} is in use by another process: wait for it, or name "
                "another folder with --out"
            ) from None
        yield


def claim(folder: pathlib.Path, run: config.Run) -> None:
    """Writes `run.yaml`, or makes sure that the one there is the same run.

    Raises:
        ConfigError: If the folder belongs to a run of another config; names
            every difference.
    """
    path = folder / "run.yaml"
    if path.exists():
        changes = _differences(config.plain(config.load(path)), config.plain(run))
        if changes:
            raise config.ConfigError(
                f"{folder} holds a run of another config "
                f"({'; '.join(changes)}): name another folder with --out"
            )
        return
    lines = [f"# {name} {version}" for name, version in versions().items()]
    atomic_write(path, "\n".join([*lines, config.dump(run)]))


def versions() -> dict[str, str]:
    """Name to version of every package that decides a run's numbers."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


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
