"""Files that were made elsewhere, checked before training and measured after it."""

import contextlib
import json
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distill import data
from distill.config.reference import Reference
from distill.measure.end import End
from distill.runtime import errors, packages, progress
from distill.runtime.hashes import file_hash
from distill.runtime.trust import loader, scan

# The share that the numbers given to a file and those that its input can represent
# must have in common, of all that is in either: with `[0, 1]` for `[-1, 1]` it is 1/2.
_COMMON = 0.55


def measured(run: Any) -> tuple[Reference, ...]:
    """The references that can be measured here: none without LiteRT.

    Args:
        run: A `config.Run` or a `finishing.Finishing`.
    """
    return () if packages.missing(*packages.READING) else run.references


def missing_warning(run: Any) -> list[str]:
    """The warning in the report of a run whose references cannot be measured."""
    lacking = packages.missing(*packages.READING)
    if not run.references or not lacking:
        return []
    return [f"No reference is measured without {packages.say(lacking)}"]


def hashes(run: Any) -> dict[str, str]:
    """Name of each reference to the SHA-256 of its file; for `folder.check_ground`.

    Raises:
        ConfigError: If a file does not exist.
        Untrusted: If it is of another format, or not the one that is pinned.
    """
    found = {}
    for index, part in enumerate(measured(run)):
        if not part.path.exists():
            raise errors.ConfigError(
                f"`references[{index}].file` must be a file that exists, here or in "
                f"the folder that DISTILL_DATA names. Received: {part.file}"
            )
        scan.check_kind(part.path, ".tflite")
        scan.check_hash(part.path, part.sha256)
        found[part.title] = file_hash(part.path)
    return found


def check(run: Any) -> None:
    """Checks that references fit the data, before anything trains.

    Args:
        run: A `config.Run` or a `finishing.Finishing`.

    Raises:
        ConfigError: If a file does not exist, cannot be run, or does not fit.
        Untrusted: See `hashes`; or if the process that opens it dies.
    """
    for line in missing_warning(run):
        progress.say(f"    {line}")
    hashes(run)
    shape, classes = run.data.input_shape, run.data.num_classes
    kind = np.float32 if run.data.kind == "images" else np.int32
    for index, part in enumerate(measured(run)):
        with (
            progress.step(part.title, f"trying {part.file} on an empty input"),
            _folder(inputs=np.zeros((1, *shape), kind)) as place,
        ):
            found = _ask(part.path, place, {"name": "ends", "path": str(part.path)})
        takes, gives = (
            [End(**end) for end in found[key]] for key in ("takes", "gives")
        )
        wrong = _misfit(part, takes, gives, shape, classes)
        if wrong:
            raise errors.ConfigError(f"`references[{index}]`: {part.file} {wrong}")


def _misfit(
    part: Reference,
    takes: Sequence[End],
    gives: Sequence[End],
    shape: tuple[int, ...],
    classes: int,
) -> str | None:
    """Why a file does not fit the data; None if it does."""
    if len(takes) != 1 or len(gives) != 1:
        return (
            f"has {len(takes)} inputs and {len(gives)} outputs, and must have one each"
        )
    if tuple(takes[0].shape[1:]) != tuple(shape):
        return f"must take inputs of {_format(shape)}. Received: {takes[0]}"
    if tuple(gives[0].shape) != (1, classes):
        return f"must give {classes} numbers, one for each class. Received: {gives[0]}"
    if takes[0].scale is None:
        return None
    kind = np.iinfo(takes[0].dtype)
    held = [
        takes[0].scale * (end - takes[0].zero_point) for end in (kind.min, kind.max)
    ]
    low, high = part.input_range
    common = min(high, held[1]) - max(low, held[0])
    if common < _COMMON * (max(high, held[1]) - min(low, held[0])):
        return (
            f"takes numbers from {held[0]:g} to {held[1]:g}, by its scale and zero "
            "point: `input_range` must be about that, for black and white. Received: "
            f"{list(part.input_range)}"
        )
    return None


def _format(shape):
    return " x ".join(map(str, shape))


def measure(
    run: Any, split: data.Split, taught: np.ndarray | None
) -> tuple[list[dict], list[str]]:
    """Measures the references, each in a process with limits.

    Args:
        run: A `config.Run` or a `finishing.Finishing`.
        split: The test split.
        taught: The teacher's logits on it; None without a teacher.

    Returns:
        Their entries in the report, without latencies; and a warning for each that
        could not be measured: by then, what was trained must not be lost.
    """
    parts = measured(run)
    if not parts:
        return [], []
    arrays = {} if taught is None else {"taught": taught}
    models, warnings = [], []
    with _folder(inputs=split.inputs[:], labels=split.labels, **arrays) as place:
        for part in parts:
            task = {
                "name": "measure",
                "path": str(part.path),
                "limits": list(part.input_range),
                "micro": run.target == "micro",
            }
            with progress.step(f"measure {part.title}", "in a process with limits"):
                try:
                    record = _ask(part.path, place, task)
                except (errors.ConfigError, errors.Untrusted, OSError) as error:
                    warnings.append(f"{part.title} was not measured: {error}")
                    continue
            models.append(record | {"name": part.title, "file": part.file})
    return models, warnings


def latencies(
    paths: Sequence[pathlib.Path], example: np.ndarray, *, threads: int = 1
) -> dict[pathlib.Path, dict[str, Any]]:
    """As `interpreter.latencies`, of files of which some are foreign."""
    task = {"name": "time", "paths": [str(p) for p in paths], "threads": threads}
    with _folder(inputs=example) as place:
        return dict(zip(paths, _ask(paths[-1], place, task), strict=True))


def paths(run: Any, models: Sequence[Mapping[str, Any]]) -> dict[str, pathlib.Path]:
    """Name of each reference that was measured to its file."""
    names = {model["name"] for model in models}
    return {part.title: part.path for part in run.references if part.title in names}


@contextlib.contextmanager
def _folder(**arrays):
    """A folder for a while, with arrays in it."""
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        for key, array in arrays.items():
            np.save(place / f"{key}.npy", array)
        yield place


def _ask(path, place, task):
    """What the process with limits finds; it is given the task in a folder."""
    (place / "task.json").write_text(json.dumps(task))
    loader.measure_sandboxed(path, place)
    found = json.loads((place / "found.json").read_text())
    if isinstance(found, dict) and "error" in found:
        # Some readers begin with the file, others know nothing of it.
        reason = found["error"].removeprefix(f"{path} ")
        raise errors.ConfigError(f"{path}: {reason}")
    return found
