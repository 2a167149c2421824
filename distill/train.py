"""The conductor: one config in, measured TFLite students out."""

import argparse
import json
import pathlib
from collections.abc import Sequence

from distill import cli, config, data, finish, progress, run_folder, scan


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.train --config FILE`. Returns the exit code."""
    flags = cli.parser("train", "Trains teacher and student, finishes and measures.")
    flags.add_argument(
        "--out", type=pathlib.Path, help="folder of the run; default: runs/<config>"
    )
    return cli.guarded(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    run = config.load(arguments.config, cli.overrides(arguments))
    folder = arguments.out or cli.default_folder(arguments)
    result = train(run, folder)
    from distill import report

    print(report.table(result))
    for line in result["warnings"]:
        progress.say(f"warning: {line}")
    for line in result["failures"]:
        progress.say(f"failed: {line}")
    progress.say(f"==> {folder / 'report.html'}")
    return cli.EXIT_FAILED if result["failures"] else 0


def train(run: config.Run, folder: pathlib.Path) -> dict:
    """The run's steps in order; a step that is finished is not run again.

    Args:
        run: What to do.
        folder: Made if need be; see `CONTRIBUTING.md` for what it holds.

    Returns:
        The report, as in `report.json`.

    Raises:
        ConfigError: If the folder holds another run, or the teacher's file or
            an option of a finisher does not fit.
        CheckpointError, Diverged, WriteError, Stopped: See `resume.fit`.
        DataError: If the data cannot be had.
        FolderBusy: If another process works there.
        FinishError: If the finishing process died.
    """
    with run_folder.occupied(folder):
        run_folder.claim(folder, run)
        progress.say(f"    run folder: {folder}")
        with progress.step("data", f"reading {config.name_of(run.data)}"):
            splits = run.data.load()
        return _steps(run, splits, folder)


def ground(run: config.Run, splits: data.Splits) -> dict[str, str]:
    """What a run's numbers stand on beside its config; see `run_folder.stay_with`.

    Raises:
        Untrusted: If the teacher's file is nothing to open.
    """
    import keras

    found = {"data": splits.fingerprint(), "backend": keras.backend.backend()}
    if run.teacher.file is not None:
        path = pathlib.Path(run.teacher.file).expanduser()
        scan.members(path, run.teacher.sha256)
        found["teacher file"] = scan.file_hash(path)
    return {**found, **run_folder.versions()}


def _steps(run, splits, folder):
    from distill import generator, results, stages, teacher

    run_folder.stay_with(folder, ground(run, splits))
    stages.check_finish(run)
    network, records = teacher.ready(run, splits, folder)
    accuracy = results.accuracy(results.logits(network, splits.test), splits.test)
    progress.say(f"    teacher: {accuracy:.2f} % of the test split")
    maker, more = generator.ready(run, splits, folder)
    records += more
    learners = [("student", run.stages)]
    learners += [(control.name, control.stages) for control in run.controls]
    for name, steps in learners:
        learned, more = stages.train(
            name,
            steps,
            run=run,
            splits=splits,
            folder=folder,
            teacher=network,
            generator=maker,
        )
        records += more
        stages.keep(learned, folder / f"{name}.keras")
    if run.finish:
        made = folder / "finish.json"
        if not made.exists():
            with progress.step("finish", "prune, quantize, export, in a process apart"):
                finish.run(folder)
        records += json.loads(made.read_text())
    return results.gather(run, splits, folder, records)


if __name__ == "__main__":
    raise SystemExit(main())
