"""The runs of a comparison: one for each config and seed."""

import dataclasses
import operator
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from distill import config
from distill.run.arguments import read_config
from distill.runtime.errors import ConfigError
from distill.studies.compare import controls


class Job(NamedTuple):
    """One run of a comparison.

    Attributes:
        name: The config's name, without folder and suffix.
        run: The run with its own seed and all controls.
        folder: Its folder. All are in one folder, where runs share trained teachers.
    """

    name: str
    run: config.Run
    folder: pathlib.Path


def plan(
    configs: Sequence[str],
    seeds: int,
    out: pathlib.Path,
    *,
    overrides: Sequence[str] = (),
    finish: bool = True,
) -> list[Job]:
    """Reads and checks every run of a comparison.

    Writes only what Python of the configs returns.

    Args:
        configs: Config files, or names of shipped ones.
        seeds: Number of seeds, from the configs' `seed` on.
        out: The folder that will hold the runs' folders.
        overrides: As in `config.load`; applied to every config.
        finish: Whether to finish and export students.

    Returns:
        The jobs, sorted by seed, so that an interrupted comparison is a complete one
        of fewer seeds.

    Raises:
        ConfigError: If a config is wrong, or two configs cannot be compared.
    """
    if seeds < 1:
        raise ConfigError(f"--seeds must be at least 1. Received: {seeds}")
    names = [pathlib.Path(path).stem for path in configs]
    if len(set(names)) < len(names):
        raise ConfigError(
            "--configs must be files of different names, which name the runs. "
            f"Received: {' '.join(configs)}"
        )
    # All are read before any is trained: a mistake in the last config shows at once.
    runs = [_read(path, overrides, finish, out) for path in configs]
    keys = ["data", "seed", "hardware.onednn", "hardware.threads"]
    # `auto` is decided once for all; two precisions may be what is compared.
    if any(run.hardware.precision == "auto" for run in runs):
        keys.append("hardware.precision")
    for name, run in zip(names, runs, strict=True):
        for key in keys:
            first, other = map(operator.attrgetter(key), (runs[0], run))
            if first != other:
                raise ConfigError(
                    f"--configs must agree in `{key}`, or their accuracies cannot be "
                    f"compared. Received: {first} in {names[0]}, {other} in {name}"
                )
    first = runs[0].seed
    for seed in range(first + 1, first + seeds):
        # Read anew: networks of the user's Python are built for a seed.
        again = [*overrides, f"seed={seed}"]
        runs += [_read(path, again, finish, out) for path in configs]
    return [
        Job(name, run, out / f"{name},seed={run.seed}")
        for name, run in zip(names * seeds, runs, strict=True)
    ]


def _read(path, overrides, finish, out):
    run = read_config(config.Run, path, overrides, out)
    if not {"train", "test"} <= run.data.labelled:
        raise ConfigError(
            f"{path}: `data` must have labels: accuracies are compared. Received: "
            "examples without"
        )
    try:
        run = controls.with_controls(run)
    except ValueError as error:
        raise ConfigError(
            f"{path}: with the controls that compare adds, {error}. Rename yours"
        ) from None
    if finish:
        return run
    # What concerns files goes back to its default: without files it would have no
    # effect, which is an error in a config.
    options = ("target", "budget", "max_accuracy_drop")
    defaults = {name: getattr(config.Run, name) for name in options}
    return dataclasses.replace(run, finish=(), **defaults)
