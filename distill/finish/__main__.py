"""The finishing process: the only place with tf_keras and TF-MOT."""

import json
import pathlib
import time

from absl.flags import argparse_flags

from distill import cli, config, finish, progress, run_folder


def main(argv=None) -> int:
    """`python -m distill.finish --run FOLDER`."""
    flags = argparse_flags.ArgumentParser(
        prog="python -m distill.finish",
        description="Finishes the student of a run folder; started by distill.train.",
    )
    flags.add_argument("--run", required=True, type=pathlib.Path)
    arguments = flags.parse_args(argv)
    return cli.guarded(lambda: _finish(arguments.run))


def _finish(folder):
    run = config.load(folder / "run.yaml")
    import keras

    from distill import export
    from distill.finish import bench, twin

    try:
        work = bench.Bench(run, folder)
    except twin.NoTwin as mistake:
        raise finish.FinishError(str(mistake)) from None
    progress.say("    the student's tf_keras twin answers as the student")
    teacher = folder / "teacher.float32.tflite"
    if not teacher.exists():
        network = keras.models.load_model(folder / "teacher.keras", compile=False)
        run_folder.atomic_write(teacher, export.to_tflite(network, "float32"))
    records = [_one(part, work, folder) for part in run.finish]
    run_folder.atomic_write(folder / "finish.json", json.dumps(records))
    return 0


def _one(part, work, folder):
    """Makes one file, or keeps the one that is there; returns its record."""
    name = config.name_of(part)
    path = folder / f"student.{name}.tflite"
    record = folder / "checkpoint" / f"finish.{name}.json"
    if path.exists() and record.exists():
        progress.say(f"==> {path.name}: finished before, kept")
        return json.loads(record.read_text())
    epochs = getattr(part, "epochs", 0)
    start = time.monotonic()
    with progress.step(path.name, f"{epochs} epochs" if epochs else "conversion"):
        content, metrics = part.make(work)
    seconds = time.monotonic() - start
    run_folder.atomic_write(path, content)
    made = {
        "model": f"student.{name}",
        "name": name,
        "epochs": epochs,
        "seconds": seconds,
        "examples_per_second": epochs * work.examples_per_epoch / seconds,
        "metrics": metrics,
    }
    run_folder.atomic_write(record, json.dumps(made))
    return made


if __name__ == "__main__":
    raise SystemExit(main())
