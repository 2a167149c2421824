"""The finishing process, the only one that imports tf_keras and TF-MOT."""

import contextlib
import dataclasses
import json
import pathlib
from typing import Any

from absl.flags import argparse_flags

from distill import config
from distill.compress.search import search
from distill.config import finishing
from distill.measure import codec
from distill.measure.micro import trial as micro
from distill.run import legs, times
from distill.runtime import errors, files, progress, stopwatch
from distill.runtime.process import command, signals, worker
from distill.runtime.trust import loader


def main(argv=None) -> int:
    """`python -m distill.run.child TASK PATH`; started by `distill.run.parent`."""
    flags = argparse_flags.ArgumentParser(prog="python -m distill.run.child")
    flags.add_argument("task", choices=_TASKS)
    flags.add_argument("path", type=pathlib.Path)
    return command.run_command(_run_task, flags, argv)


def _run_task(arguments):
    worker.end_with_parent()
    with stopwatch.working(part="finishing process: imports"):
        # The first import of tf_keras: `parent` has set the variables that it reads.
        from distill.compress.twin import twin

    try:
        _TASKS[arguments.task](arguments.path)
    except twin.NoTwin as error:
        raise errors.FinishError(str(error)) from None
    return 0


def _diagnose(path):
    """Writes the diagnosis of a `.keras` file's layers beside it, as JSON."""
    from distill.compress import diagnosis

    result = diagnosis.diagnose(loader.open_own(path))
    files.atomic_write(path.with_suffix(".json"), json.dumps(result))


def _convert_untrained(folder):
    """Makes the files that `forms.json` lists of the network beside it, if it can."""
    from distill.compress import untrained

    network = loader.open_own(folder / "network.keras")
    for variant, io in files.read_json(folder / "forms.json"):
        # The converter raises errors of any class; a file that is missing says enough.
        with contextlib.suppress(Exception):
            file = untrained.convert_untrained(network, variant, io)
            (folder / f"{variant}.{io}.tflite").write_bytes(file)


def _finish(folder):
    """Makes the TFLite files of a run folder, and writes their records."""
    path = folder / "run.yaml"
    run = config.read(finishing.config_class(path), path)
    with stopwatch.working(part="finishing process: imports"):
        from distill.run import early

        material = open_material(run, folder)
        work = open_workbench(run, folder, material)
    # The student may still be training: all that does not need it comes first.
    teacher = early.convert_teacher(material, folder)
    early.try_layers(run, folder)
    worker.wait_for_parent()
    if teacher is not None:
        stamped = work.stamp(early.TEACHER.removesuffix(".tflite"), teacher)
        files.atomic_write(folder / early.TEACHER, stamped)
    progress.expect(legs.legs(run))
    if _is_untried(run, folder):
        early.check_layers(run, folder)
    records = [_make_file(part, work, folder) for part in run.finish]
    files.atomic_write(folder / "finish.json", json.dumps(records))
    times.keep_helper(folder)


def _is_untried(run, folder):
    """Whether it is not known yet that all files can be made of the network.

    The students of `distill.train` are tried before they are trained; see `preflight`.
    """
    has_begun = any(files.checkpoints(folder).glob("finish.*"))
    asking = any(part.asks for part in run.finish)
    return asking and not has_begun and not isinstance(run, config.Run)


def open_workbench(run: Any, folder: pathlib.Path, material: Any = None) -> Any:
    """Opens the student of a run, its teacher and data, for the run's finishers.

    Args:
        run: A `config.Run` or a `finishing.Finishing`.
        folder: The run's folder.
        material: What `open_material` returned; None opens it.

    Returns:
        A `distill.compress.workbench.Workbench`.
    """
    from distill.compress import workbench

    material = material or open_material(run, folder)
    return workbench.Workbench(material, run.finish, folder, config.plain(run))


def open_material(run: Any, folder: pathlib.Path) -> Any:
    """Opens the data of a run, and its networks once they are asked for.

    Args:
        run: A `config.Run` or a `finishing.Finishing`.
        folder: The run's folder.

    Returns:
        A `distill.compress.material.Material`.
    """
    from distill.compress import material as materials

    return materials.Material(
        folder=folder,
        splits=run.data.load(),
        batch_size=run.batch_size,
        seed=run.seed,
        augmentation=run.augmentation,
        kind=run.data.kind,
        classes=run.data.class_names,
    )


def _search(folder):
    """Searches for the finish that keeps a run's budget."""
    run = config.read(finishing.Finishing, folder / "search" / "run.yaml")
    from distill.compress import diagnosis
    from distill.measure import accuracy, cost

    work, student = (
        open_workbench(run, folder),
        loader.open_own(folder / "student.keras"),
    )
    split = work.validation
    counted = cost.count(student)
    search.search(
        run,
        diagnosis.diagnose(student),
        counted,
        accuracy.accuracy(accuracy.logits(student, split), split),
        folder=folder,
        make=lambda choice, place: _try_choice(run, work, counted, choice, place),
    )


def _try_choice(run, work, counted, choice, place):
    """Makes the files of a short finish, and measures the last one."""
    from distill.measure.facts import read_facts
    from distill.runtime.trust import provenance

    files.checkpoints(place).mkdir(parents=True, exist_ok=True)
    trial = dataclasses.replace(run, finish=choice.steps)
    work.take_up(choice.steps, place, config.plain(trial))
    try:
        *_, record = [
            _make_file(part, work, place, with_layer_errors=False)
            for part in choice.steps
        ]
    # A choice that cannot be made is a result: the search goes on with the others.
    except (errors.Diverged, errors.FinishError, ValueError) as error:
        size = choice.predicted_bytes(counted)
        sizes = dict.fromkeys(("bytes", "gzip_bytes", "packed_bytes"), size)
        costs = {**choice.predicted_costs(counted), **sizes}
        return {**costs, "accuracy": 0.0, "failed": [str(error)]}
    path = place / f"{record['model']}.tflite"
    facts, last = read_facts(path), choice.steps[-1]
    run_there = micro.run(path) if run.target == "micro" else micro.Trial(())
    return {
        "bytes": facts.bytes,
        "gzip_bytes": facts.gzip_bytes,
        "packed_bytes": facts.packed_bytes,
        "arena_bytes": run_there.arena_bytes,
        "macs": facts.macs,
        "uncounted": facts.uncounted,
        # `stamp` has measured it: running the file again would cost as much.
        "accuracy": provenance.read(path)["validation"]["accuracy"],
        "failed": [
            *last.breaches(facts, choice.parts, counted),
            *last.conversion_breaches(record["parity"]),
            *filter(None, [run_there.reason]),
        ],
    }


def _make_file(part, work, folder, with_layer_errors=True):
    """Makes one file, unless it exists; returns its record."""
    name = config.name_of(part)
    path = folder / f"student.{name}.tflite"
    record_path = files.checkpoints(folder) / f"finish.{name}.json"
    if path.exists() and record_path.exists():
        progress.say(f"==> {path.name}: finished before, kept")
        return files.read_json(record_path)
    epochs = getattr(part, "epochs", 0)
    with (
        progress.step(path.name, f"{epochs} epochs" if epochs else "conversion", name),
        # A signal is raised when the file is whole, or between two training steps.
        signals.deferred(),
    ):
        file = part.make(work)
        stopwatch.turn_to(stopwatch.OTHER)
        stamped = work.stamp(f"student.{name}", file)
        files.atomic_write(path, stamped)
        if part.packs:
            files.atomic_write(path.with_suffix(".tflz"), codec.pack(stamped))
        metrics, seconds = work.trained.get(name, ({}, 0.0))
        record = {
            "model": f"student.{name}",
            "name": name,
            "epochs": epochs,
            "seconds": seconds,
            # A conversion trains for 0 s.
            "examples_per_second": epochs
            * work.examples_per_epoch(part)
            / (seconds or 1),
            "metrics": metrics,
            "parity": work.parity,
            **({"engine": work.engines[name]} if name in work.engines else {}),
            "layers": work.layers(file) if with_layer_errors else [],
        }
        # The record marks the file as finished: only then may the checkpoint go.
        files.atomic_write(record_path, json.dumps(record))
        work.store(name).clear()
    return record


_TASKS = {
    "finish": _finish,
    "diagnose": _diagnose,
    "search": _search,
    "convert": _convert_untrained,
}


if __name__ == "__main__":
    raise SystemExit(main())
