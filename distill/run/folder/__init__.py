"""Reserves a folder for one run: one config, and the same data and versions."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

from distill import config
from distill.config import finishing
from distill.data import sidecar
from distill.runtime import errors, files, versions
from distill.runtime.process import distributed

# A file in `checkpoint/` with what determines a run's numbers beside its config.
GROUND = "ground.json"
# A folder of the examples and networks that a Python program gave.
GIVEN = "given"

# Files that a run writes before it has produced any results.
_PRELIMINARY = {".lock", "run.yaml", GROUND, *sidecar.NAMES}


def claim(folder: pathlib.Path, run: Any, *, yields: bool = True) -> None:
    """Writes `run.yaml`, or checks that an existing one is the same config.

    Args:
        folder: The run's folder.
        run: As for `is_claimed`.
        yields: As for `is_claimed`.

    Raises:
        ConfigError: See `is_claimed`.
    """
    if is_claimed(folder, run, yields=yields):
        return
    # As comments: other versions make no other config. `check_ground` compares them.
    lines = [f"# {name} {version}" for name, version in versions.versions().items()]
    text = "\n".join([*lines, config.dump(run)])
    files.atomic_write(folder / "run.yaml", text)


def is_claimed(folder: pathlib.Path, run: Any, *, yields: bool = True) -> bool:
    """Whether a folder is this run's already; if not, it may become so. Writes nothing.

    Args:
        folder: The run's folder, which need not exist.
        run: A `config.Run`, or the whole config of another command.
        yields: Whether a run without results may be replaced by another: it may have
            been refused after it was claimed.

    Raises:
        ConfigError: If the folder belongs to a comparison, or to a run with another
            config; names every difference.
    """
    path = folder / "run.yaml"
    if path.exists():
        changes = _changes(config.read(type(run), path), run)
        if not changes:
            return True
        if not yields or is_begun(folder):
            raise errors.ConfigError(
                f"{folder} holds a run of another config "
                f"({'; '.join(changes)}): name another folder with --out"
            )
    _refuse_comparison(folder)
    return False


def precision_of(folder: pathlib.Path, run: config.Run) -> str | None:
    """The precision of the run in a folder, in which `run` must go on.

    Args:
        folder: The run's folder.
        run: The config; its own precision is not used.

    Returns:
        A value of `hardware.precision`; None if `claim` would write `run.yaml` anew.

    Raises:
        ConfigError: If the folder belongs to a comparison, before anything is measured.
    """
    path = folder / "run.yaml"
    if not path.exists():
        _refuse_comparison(folder)
        return None
    old = config.read(type(run), path)
    precision = old.hardware.precision
    goes_on = not _changes(old, run.with_hardware(precision=precision))
    return precision if goes_on or is_begun(folder) else None


def claim_finish(folder: pathlib.Path, run: finishing.Finishing) -> None:
    """Claims the folder of a `finish`; before a search, only `search/` in it.

    The folder itself is claimed for the winner's config, once that is known.

    Raises:
        ConfigError: If the folder belongs to another run.
    """
    search = folder / "search"
    if not run.searches:
        claim(folder, run)
        return
    if (folder / "run.yaml").exists() and not (search / "run.yaml").exists():
        raise errors.ConfigError(
            f"{folder} holds a run without a search: name another folder with --out"
        )
    _refuse_comparison(folder)
    search.mkdir(exist_ok=True)
    # The files of a search are not all in `search/`: networks are beside it.
    claim(search, run, yields=not is_begun(folder))


def _refuse_comparison(folder):
    """Refuses a folder of `compare`, which `check_ground` would refuse later."""
    path = files.checkpoints(folder) / GROUND
    if not (path.exists() and is_begun(folder)):
        return
    # A comparison has no data of its own: its runs are in folders in this one.
    if "data" not in files.read_json(path):
        raise errors.ConfigError(
            f"{folder} holds a comparison: name another folder with --out"
        )


def claim_together(claim: Callable[[], None], path: pathlib.Path) -> None:
    """Claims a folder in all processes: first in the chief, then in the others.

    The others receive the chief's file before they claim, so they compare with it.

    Args:
        claim: A function that claims the folder, or raises `ConfigError`.
        path: The file that the chief writes as it claims.

    Raises:
        ConfigError: If a process would train something else than the chief.
    """
    if distributed.is_chief():
        claim()
    distributed.share_file(path)
    try:
        if not distributed.is_chief():
            claim()
    except errors.ConfigError as error:
        raise errors.ConfigError(
            f"process {distributed.index()} is not of the chief's run: {error}"
        ) from None


def is_begun(folder: pathlib.Path) -> bool:
    """Whether a folder, or a folder in it, has any results."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return any(
        path.name not in _PRELIMINARY and GIVEN not in path.relative_to(folder).parts
        for path in files
    )


def check_ground(
    folder: pathlib.Path, ground: dict[str, str], *, yields: bool = True
) -> None:
    """Writes down the data and versions of a run, or checks that they are unchanged.

    A run that was continued with others would have the results of neither.

    Args:
        folder: The run's folder.
        ground: Name to value: versions, backend, the data's fingerprint.
        yields: See `claim`.

    Raises:
        ConfigError: If something changed; names every difference.
    """
    path = files.checkpoints(folder) / GROUND
    if path.exists():
        changes = _differences(files.read_json(path), ground)
        if not changes:
            return
        if not yields or is_begun(folder):
            raise errors.ConfigError(
                f"{folder} was started with other data or versions "
                f"({'; '.join(changes)}): use these again, or name another folder "
                "with --out"
            )
    path.parent.mkdir(exist_ok=True)
    files.atomic_write(path, json.dumps(ground, indent=1))


def _changes(old, run):
    """The differences of two configs by which a run would be another."""
    # Where a run's numbers are also sent decides none of them.
    return _differences(*(config.plain(each) | {"track": None} for each in (old, run)))


def _differences(old, new, where=""):
    """Each difference between two trees of plain data, as `a.b: old -> new`."""
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
