"""The conductor: one config in, measured TFLite students out."""

import argparse
import pathlib
from collections.abc import Sequence

from distill import cli, config, data, run_folder
from distill.data import batches
from distill.run import parent
from distill.runtime import errors, files, onednn, progress, versions
from distill.runtime.process import command, distributed


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m distill.train --config FILE`. Returns the exit code."""
    flags = cli.parser("train", "Trains teacher and student, finishes and measures.")
    flags.add_argument(
        "--out", type=pathlib.Path, help="folder of the run; default: runs/<config>"
    )
    return command.run_command(_command, flags, argv)


def _command(arguments: argparse.Namespace) -> int:
    run = cli.run_of(arguments)
    wanted = arguments.out or cli.default_folder(arguments)
    with (
        distributed.join(run.hardware.strategy),
        distributed.working_folder(wanted) as folder,
    ):
        result = train(run, folder)
        return 0 if result is None else told(result, folder)


def told(result: dict, folder: pathlib.Path) -> int:
    """Prints a report, and says what is wrong and where the page is.

    Args:
        result: As in `report.json`.
        folder: Of the run.

    Returns:
        The exit code.
    """
    from distill import report

    print(report.table(result))
    most = {name: size / 1e9 for name, size in result["peak_memory_bytes"].items()}
    held = ", ".join(f"{name} {size:.1f} GB" for name, size in most.items() if size)
    progress.say(f"    memory at most: {held}")
    for line in result["warnings"]:
        progress.say(f"warning: {line}")
    for line in result["failures"]:
        progress.say(f"failed: {line}")
    progress.say(f"==> {folder / 'report.html'}")
    return errors.EXIT_FAILED if result["failures"] else 0


def train(run: config.Run, folder: pathlib.Path) -> dict | None:
    """The run's steps in order; a step that is finished is not run again.

    Args:
        run: What to do.
        folder: Made if need be; see `CONTRIBUTING.md` for what it holds.

    Returns:
        The report, as in `report.json`; None in every process but the chief, whose
        part ends with training.

    Raises:
        ConfigError: If the folder holds another run; or if a network whose shapes
            the config does not tell, or an option of a finisher, does not fit.
        CheckpointError, Diverged, WriteError, Stopped: See `resume.fit`.
        PeerLost: If another process of the run is gone.
        DataError: If the data cannot be had.
        FolderBusy: If another process works there.
        FinishError: If the finishing process died.
    """
    onednn.choose(run)
    with files.lock(folder):
        _same(
            lambda: run_folder.claim(folder, run, yields=distributed.is_chief()),
            folder / "run.yaml",
        )
        progress.say(f"    run folder: {folder}")
        if run.finish and (lacking := parent.missing_packages()):
            progress.say(
                f"    without {', '.join(lacking)}, training ends with .keras files: "
                "`finish` is left out"
            )
        with progress.step("data", f"reading {config.name_of(run.data)}"):
            splits = run.data.load()
        per_epoch = batches.steps_per_epoch(len(splits.train.labels), run.batch_size)
        from distill import devices, results

        with devices.engaged(run, per_epoch):
            records = _trained(run, splits, folder)
        distributed.broadcast(lambda: b"")  # All is written; now each goes its way.
        distributed.disconnect()
        if not distributed.is_chief():
            return None
        if run.finish and not parent.missing_packages():
            records += parent.finish(folder)
        return results.gather(run, splits, folder, records)


def ground(run: config.Run, splits: data.Splits) -> dict[str, str]:
    """What a run's numbers stand on beside its config; see `run_folder.stay_with`.

    Raises:
        Untrusted: If the file of a network is nothing to open.
    """
    import keras

    from distill import networks

    found = {"data": splits.fingerprint(), "backend": keras.backend.backend()}
    return {**found, **networks.hashes(run), **versions.versions()}


def _same(claim, path):
    """Lets the chief claim the folder first, then all others what it has written.

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


def _trained(run, splits, folder):
    from distill import generator, networks, room, stages, teacher, tutors
    from distill.measure import accuracy as measure_accuracy

    _same(
        lambda: run_folder.stay_with(
            folder, ground(run, splits), yields=distributed.is_chief()
        ),
        files.checkpoints(folder) / run_folder.GROUND,
    )
    pairs = networks.check(run)
    if pairs is not None:
        progress.say(networks.table(pairs))
    networks.check_finish(run)
    onednn.check(run)
    room.check(run, splits, folder)
    if splits.tokenizer is not None:
        text = splits.tokenizer.to_str(pretty=True)
        files.atomic_write(folder / "tokenizer.json", text)
    network, records = teacher.ready(run, splits, folder)
    accuracy = measure_accuracy.accuracy(
        measure_accuracy.logits(network, splits.test), splits.test
    )
    progress.say(f"    teacher: {accuracy:.2f} % of the test split")
    maker, more = generator.ready(run, splits, folder)
    records += more
    asked, more = tutors.ready(run, splits, folder, network, maker)
    records += more
    learners = [("student", run.stages, asked.last)]
    learners += [
        (part.name, part.stages, asked.first if part.skips_assistants else asked.last)
        for part in run.controls
    ]
    for name, steps, network in learners:
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
    return records


if __name__ == "__main__":
    raise SystemExit(main())
