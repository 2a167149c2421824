"""The finishing process: the only place with tf_keras and TF-MOT."""

import dataclasses
import json
import os
import pathlib
import sys
import threading
from typing import Any

from absl.flags import argparse_flags

from distill import config
from distill.config import finishing
from distill.run import legs
from distill.runtime import errors, files, progress
from distill.runtime.process import command, signals
from distill.runtime.trust import loader


def main(argv=None) -> int:
    """`python -m distill.run.child TASK PATH`; started by `distill.run.parent`."""
    flags = argparse_flags.ArgumentParser(prog="python -m distill.run.child")
    flags.add_argument("task", choices=_TASKS)
    flags.add_argument("path", type=pathlib.Path)
    return command.run_command(_do, flags, argv)


def _do(arguments):
    _end_with_parent()
    from distill.compress.twin import twin

    try:
        _TASKS[arguments.task](arguments.path)
    except twin.NoTwin as mistake:
        raise errors.FinishError(str(mistake)) from None
    return 0


def _diagnose(path):
    """Says beside a `.keras` file what can be done with its layers."""
    from distill.compress import diagnosis

    found = diagnosis.diagnose(loader.open_own(path))
    files.atomic_write(path.with_suffix(".json"), json.dumps(found))


def _finish(folder):
    """Makes the files of a run folder."""
    path = folder / "run.yaml"
    run = config.read(finishing.config_class(path), path)
    from distill.compress import convert

    progress.expect(legs.legs(run))
    work = open_workbench(run, folder)
    given, teacher = folder / "teacher.keras", folder / "teacher.float32.tflite"
    if given.exists() and not teacher.exists():
        network = loader.open_own(given)
        file = convert.to_tflite(network, "float32")
        files.atomic_write(teacher, work.stamped("teacher.float32", file))
    records = [_one(part, work, folder) for part in run.finish]
    files.atomic_write(folder / "finish.json", json.dumps(records))


def open_workbench(run: Any, folder: pathlib.Path) -> Any:
    """The student of a run, its teacher and data, for the run's finishers."""
    from distill.compress import material as materials
    from distill.compress import workbench

    material = materials.Material(
        folder=folder,
        splits=run.data.load(),
        batch_size=run.batch_size,
        seed=run.seed,
        augmentation=run.augmentation,
        kind=run.data.kind,
        classes=run.data.class_names,
    )
    return workbench.Workbench(material, run.finish, folder, config.plain(run))


def _search(folder):
    """Finds out what keeps the budget of a run."""
    run = config.read(finishing.Finishing, folder / "search" / "run.yaml")
    from distill.compress import diagnosis
    from distill.compress.search import search
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
        finished=lambda choice, place: _tried(run, work, counted, choice, place),
    )


def _tried(run, work, counted, choice, place):
    """Makes the files of a short finish, and says of the last what was measured."""
    from distill.measure.facts import read_facts
    from distill.runtime.trust import provenance

    files.checkpoints(place).mkdir(parents=True, exist_ok=True)
    tried = dataclasses.replace(run, finish=choice.steps)
    work.take_up(choice.steps, place, config.plain(tried))
    try:
        *_, record = [_one(part, work, place, explained=False) for part in choice.steps]
    except (errors.Diverged, errors.FinishError, ValueError) as mistake:
        size = choice.predicted_bytes(counted)
        sizes = dict.fromkeys(("bytes", "gzip_bytes"), size)
        return {**sizes, "accuracy": 0.0, "failed": [str(mistake)]}
    path = place / f"{record['model']}.tflite"
    facts, last = read_facts(path), choice.steps[-1]
    return {
        "bytes": facts.bytes,
        "gzip_bytes": facts.gzip_bytes,
        "accuracy": provenance.read(path)["validation"]["accuracy"],
        "failed": [
            *last.breaches(facts, choice.parts, counted),
            *last.conversion_breaches(record["parity"]),
        ],
    }


def _end_with_parent():
    """Lets no process train on in a folder that its parent no longer guards."""

    def watch():
        os.read(sys.stdin.fileno(), 1)  # Until the parent, at the other end, is gone.
        os._exit(errors.EXIT_FAILED)

    threading.Thread(target=watch, daemon=True).start()


def _one(part, work, folder, explained=True):
    """Makes one file, or keeps the one that is there; returns its record.

    Unless `explained`, that does not say what the file does to each layer.
    """
    name = config.name_of(part)
    path = folder / f"student.{name}.tflite"
    record = files.checkpoints(folder) / f"finish.{name}.json"
    if path.exists() and record.exists():
        progress.say(f"==> {path.name}: finished before, kept")
        return json.loads(record.read_text())
    epochs = getattr(part, "epochs", 0)
    with (
        progress.step(path.name, f"{epochs} epochs" if epochs else "conversion", name),
        signals.deferred(),
    ):
        file = part.make(work)
        files.atomic_write(path, work.stamped(f"student.{name}", file))
        metrics, seconds = work.trained.get(name, ({}, 0.0))
        made = {
            "model": f"student.{name}",
            "name": name,
            "epochs": epochs,
            "seconds": seconds,
            "examples_per_second": epochs * work.examples_per_epoch / (seconds or 1),
            "metrics": metrics,
            "parity": work.parity,
            **({"engine": work.engines[name]} if name in work.engines else {}),
            "layers": work.layers(file) if explained else [],
        }
        files.atomic_write(record, json.dumps(made))
        work.store(name).clear()
    return made


_TASKS = {"finish": _finish, "diagnose": _diagnose, "search": _search}


if __name__ == "__main__":
    raise SystemExit(main())
