"""Compares configs with each other and with their controls, over several seeds."""

import argparse
import json
import os
import pathlib
from collections.abc import Sequence

from absl.flags import argparse_flags

from distill.run import folder
from distill.runtime import errors, files, processor, progress, versions
from distill.runtime.process import command
from distill.runtime.trust import own_python
from distill.studies.compare.jobs import plan
from distill.studies.speed import mixed_precision


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.compare --configs FILE... --seeds N`.

    Returns the exit code.
    """
    flags = argparse_flags.ArgumentParser(
        prog="python -m distill.compare",
        description="Trains every config and its controls over several seeds, and "
        "reports their differences.",
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
        help="number of seeds, counted from the configs' `seed`; default: 5",
    )
    command.add_set_flag(flags)
    own_python.add_flag(flags)
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
    processor.choose(jobs[0].run.hardware)
    with files.lock(out):
        jobs = _in_one_precision(jobs)
        # All are asked before one is written: who is refused leaves no trace.
        for job in jobs:
            if job.folder.exists():
                with files.lock(job.folder):
                    folder.is_claimed(job.folder, job.run)
        # Imports Keras, which is slow: a mistake in a config, or a folder that is in
        # use, is reported before.
        from distill.run import conductor, preflight
        from distill.studies.compare import gather, report

        for run in {job.name: job.run for job in jobs}.values():
            preflight.check(run)
        folder.check_ground(out, versions.versions())
        for job in jobs:
            with files.lock(job.folder):
                folder.claim(job.folder, job.run)
        reports = [
            _report(job, f"{i} of {len(jobs)}", conductor.train)
            for i, job in enumerate(jobs, 1)
        ]
        result = gather.gather(jobs, reports, out)
        files.atomic_write(out / "compare.html", report.html(result))
        files.atomic_write(out / "compare.json", json.dumps(result, indent=1))
    print(report.table(result))
    for kind in ("warning", "failure"):
        for line in result[f"{kind}s"]:
            progress.say(f"{kind}: {line}")
    progress.say(f"==> {out / 'compare.html'}")
    return errors.EXIT_FAILED if result["failures"] else 0


def _in_one_precision(jobs):
    """The jobs with `hardware.precision: auto` decided once, by the first of them."""
    first = jobs[0]
    if first.run.hardware.precision != "auto":
        return jobs
    precision = mixed_precision.settle(first.run, first.folder).hardware.precision
    return [
        job._replace(run=job.run.with_hardware(precision=precision)) for job in jobs
    ]


def _report(job, place, train):
    """The report of a job, which runs unless it has one."""
    path = job.folder / "report.json"
    title = f"==> run {place}: {job.name}, seed {job.run.seed}"
    if path.exists():
        progress.say(f"{title}: finished before, kept")
        return files.read_json(path)
    progress.say(title)
    return train(job.run, job.folder)


def _default_folder(arguments):
    """`runs/compare-<configs>`, with the flags that change the runs in its name."""
    names = "-".join(pathlib.Path(path).stem for path in arguments.configs)
    changes = [*arguments.set, *["no-finish"] * arguments.no_finish]
    name = ",".join([f"compare-{names}", *changes])
    return pathlib.Path("runs") / name.replace(os.sep, "_")


if __name__ == "__main__":
    raise SystemExit(main())
