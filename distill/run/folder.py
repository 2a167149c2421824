"""The folder of a run: one process at a time, one config, whole files only."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

from distill import config
from distill.data import sidecar
from distill.runtime import errors, files, versions
from distill.runtime.process import distributed

GROUND = "ground.json"  # In `checkpoint/`: what a run's numbers stand on.

# What a run writes before it makes anything that one would miss.
_BEFORE = {".lock", "run.yaml", GROUND, *sidecar.NAMES}


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
            raise errors.ConfigError(
                f"{folder} holds a run of another config "
                f"({'; '.join(changes)}): name another folder with --out"
            )
    lines = [f"# {name} {version}" for name, version in versions.versions().items()]
    files.atomic_write(path, "\n".join([*lines, config.dump(run)]))


def claim_together(claim: Callable[[], None], path: pathlib.Path) -> None:
    """Lets the chief claim the folder first, then all others what it has written.

    Args:
        claim: Claims, or refuses.
        path: What the chief writes as it claims.

    Raises:
        ConfigError: If a process would train something else than the chief.
    """
    if distributed.is_chief():
        claim()
    distributed.share_file(path)
    try:
        if not distributed.is_chief():
            claim()
    except errors.ConfigError as mistake:
        raise errors.ConfigError(
            f"process {distributed.index()} is not of the chief's run: {mistake}"
        ) from None


def is_begun(folder: pathlib.Path) -> bool:
    """Whether something was saved, in it or below, that one would miss."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return any(path.name not in _BEFORE for path in files)


def check_ground(
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
    path = files.checkpoints(folder) / GROUND
    if path.exists():
        changes = _differences(json.loads(path.read_text()), ground)
        if not changes:
            return
        if not yields or is_begun(folder):
            raise errors.ConfigError(
                f"{folder} was begun on other ground ({'; '.join(changes)}): go back "
                "to it, or name another folder with --out"
            )
    path.parent.mkdir(exist_ok=True)
    files.atomic_write(path, json.dumps(ground, indent=1))


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
