"""The honest comparison: every config over several seeds, beside its controls."""

import argparse
import dataclasses
import json
import operator
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from absl.flags import argparse_flags

from distill import arms, config
from distill.run import conductor, folder
from distill.runtime import errors, files, onednn, progress, versions
from distill.runtime.errors import ConfigError
from distill.runtime.process import command
from distill.teach.networks import checks


class Job(NamedTuple):
    """One run of a comparison.

    Attributes:
        name: The config's, without folder and suffix.
        run: With its own seed, and all controls.
        folder: Where it is, beside the others: they share trained teachers.
    """

    name: str
    run: config.Run
    folder: pathlib.Path


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.compare --configs FILE... --seeds N`. The exit code."""
    flags = argparse_flags.ArgumentParser(
        prog="python -m distill.compare",
        description="Trains every config and its controls over several seeds; says "
        "how they differ.",
    )
    flags.add_argument(
        "--configs",
        required=True,
        nargs="+",
        metavar="CONFIG",
        help="YAML files, or names of shipped ones",
    )
    flags.add_argument(
        "--seeds",
        type=int,
        default=5,
        metavar="N",
        help="how many, from the configs' `seed` on; 5 by default",
    )
    command.add_set_flag(flags)
    flags.add_argument(
        "--no-finish",
        action="store_true",
        help="export nothing: faster; the front then shows the .keras files",
    )
    flags.add_argument(
        "--out",
        type=pathlib.Path,
        help="folder of all runs; default: runs/compare-<configs>",
    )
    return command.run_command(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    out = arguments.out or _default_folder(arguments)
    jobs = plan(
        arguments.configs,
        arguments.seeds,
        out,
        overrides=arguments.set,
        finish=not arguments.no_finish,
    )
    onednn.choose(jobs[0].run)
    for run in {job.name: job.run for job in jobs}.values():
        checks.check_kernels(run)
    with files.lock(out):
        for job in jobs:  # A folder of another config is refused before any trains.
            with files.lock(job.folder):
                folder.claim(job.folder, job.run)
        folder.check_ground(out, versions.versions())
        reports = [_report(job, f"{i} of {len(jobs)}") for i, job in enumerate(jobs, 1)]
        from distill import comparison, comparison_report

        result = comparison.gather(jobs, reports, out)
        files.atomic_write(out / "compare.html", comparison_report.html(result))
        files.atomic_write(out / "compare.json", json.dumps(result, indent=1))
    print(comparison_report.table(result))
    for kind in ("warning", "failure"):
        for line in result[f"{kind}s"]:
            progress.say(f"{kind}: {line}")
    progress.say(f"==> {out / 'compare.html'}")
    return errors.EXIT_FAILED if result["failures"] else 0


def plan(
    configs: Sequence[str],
    seeds: int,
    out: pathlib.Path,
    *,
    overrides: Sequence[str] = (),
    finish: bool = True,
) -> list[Job]:
    """Every run of a comparison, read and checked; nothing is written.

    Args:
        configs: Files, or names of shipped ones.
        seeds: How many, from the configs' `seed` on.
        out: The runs' folders are made there.
        overrides: As of `config.load`; each config gets all of them.
        finish: Whether to finish and export students.

    Returns:
        Seed by seed, so that a comparison cut short is one of fewer seeds.

    Raises:
        ConfigError: If a config is wrong, or two cannot be compared.
    """
    if seeds < 1:
        raise ConfigError(f"--seeds must be at least 1. Received: {seeds}")
    names = [pathlib.Path(path).stem for path in configs]
    if len(set(names)) < len(names):
        raise ConfigError(
            "--configs must be files of different names, by which the arms go. "
            f"Received: {' '.join(configs)}"
        )
    runs = [_read(path, overrides, finish) for path in configs]
    for name, run in zip(names, runs, strict=True):
        for key in ("data", "seed", "hardware.onednn"):
            first, other = map(operator.attrgetter(key), (runs[0], run))
            if first != other:
                raise ConfigError(
                    f"--configs must agree in `{key}`, or their accuracies cannot be "
                    f"compared. Received: {first} in {names[0]}, {other} in {name}"
                )
    return [
        Job(
            name,
            dataclasses.replace(run, seed=run.seed + index),
            out / f"{name},seed={run.seed + index}",
        )
        for index in range(seeds)
        for name, run in zip(names, runs, strict=True)
    ]


def _read(path, overrides, finish):
    run = config.load(path, overrides)
    try:
        run = arms.with_controls(run)
    except ValueError as mistake:
        raise ConfigError(
            f"{path}: with the controls that compare adds, {mistake}. Rename yours"
        ) from None
    return run if finish else dataclasses.replace(run, finish=())


def _report(job, place):
    """The report of a job, which is run if there is none yet."""
    path = job.folder / "report.json"
    title = f"==> run {place}: {job.name}, seed {job.run.seed}"
    if path.exists():
        progress.say(f"{title}: finished before, kept")
        return json.loads(path.read_text())
    progress.say(title)
    return conductor.train(job.run, job.folder)


def _default_folder(arguments):
    """`runs/compare-<configs>`, with what flags changed in its name."""
    names = "-".join(pathlib.Path(path).stem for path in arguments.configs)
    changes = [*arguments.set, *["no-finish"] * arguments.no_finish]
    name = ",".join([f"compare-{names}", *changes])
    return pathlib.Path("runs") / name.replace(os.sep, "_")


if __name__ == "__main__":
    raise SystemExit(main())
