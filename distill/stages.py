"""Trains one network through its stages; a finished stage is never run again."""

import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import keras

from distill import (
    alarms,
    answers,
    config,
    data,
    devices,
    fused,
    learners,
    networks,
    precision,
    tensorboard,
)
from distill.data import batches
from distill.measure import stitching
from distill.runtime import files, progress, seeds
from distill.runtime.process import distributed, memory, signals
from distill.runtime.resume import checkpoint, resume
from distill.runtime.trust import loader
from distill.teach import synthetic
from trainers import trainer

RECALIBRATION_BATCHES = 50  # Enough for BatchNorm's mean and variance to settle.


def train(
    name: str,
    stages: Sequence[config.Stage],
    *,
    run: config.Run,
    splits: data.Splits,
    folder: pathlib.Path,
    teacher: keras.Model | None = None,
    generator: keras.Model | None = None,
) -> tuple[keras.Model, list[dict]]:
    """Builds a network and trains it through its stages.

    Each stage starts from its own seed and its own optimizer, and goes on from
    its last committed moment, so that a run which was killed at any step ends as
    an undisturbed one, bit for bit.

    Args:
        name: `teacher`, `teacher2`, `assistant1`, `student`, or a control's name:
            of files and in the report.
        stages: What to run, in order.
        run: The rest of what decides the outcome.
        splits: The data.
        folder: `checkpoint/` and `tensorboard/` are made here.
        teacher: Trained, for the methods that need one.
        generator: Trained, for the stages that want its examples.

    Returns:
        The trained network, and one record a stage as in `report.json`.
    """
    network, records = None, []
    for index, stage in enumerate(stages):
        title = f"{name}, stage {index + 1} of {len(stages)} ({stage.name})"

        def stage_of(store, network=network, index=index, stage=stage):
            network = network or networks.build(name, run)
            memory.check(network, run.batch_size)
            source = source_of(
                run, splits, stage, index, teacher=teacher, generator=generator
            )
            given = source, splits.validation
            if run.teacher.cache and stage.trainer.needs_teacher:
                pair = teacher, network
                given = answers.ready(run, splits, folder, source, stage, pair)
            log_dir = folder / "tensorboard" / f"{name}.{index}.{stage.name}"
            keras.utils.set_random_seed(seeds.seed_of(run.seed, name, index))
            learner = learners.learner_of(run, stage, source, network, teacher)
            made = _fit(
                learner,
                stage,
                source,
                given,
                lambda past: [
                    *stitching.callbacks(learner, splits.validation),
                    *tensorboard.callbacks(log_dir, run.batch_size, past),
                ],
                store=store,
                part=run.hardware,
            )
            return network, {"model": name, **made}

        network, record = once(
            f"{name}.{index}", title, folder, stage_of, epochs=stage.epochs
        )
        records.append(record)
    return network, records


def source_of(
    run: config.Run,
    splits: data.Splits,
    stage: config.Stage,
    index: int,
    *,
    teacher: keras.Model | None,
    generator: keras.Model | None,
) -> batches.Batches:
    """The batches of a stage.

    Args:
        run: The run.
        splits: The data.
        stage: The stage.
        index: Of it, among those of its network.
        teacher: See `train`; without one, augmentation never repeats itself.
        generator: See `train`.
    """
    alone = teacher is None
    return batches.Batches(
        splits.train,
        batch_size=run.batch_size,
        seed=seeds.seed_of(run.seed, "order", index),
        augmentation=run.augmentation.endless if alone else run.augmentation,
        mixture=synthetic.mixture(
            stage.synthetic, splits.train, generator=generator, teacher=teacher
        ),
    )


def keep(network: keras.Model, path: pathlib.Path) -> None:
    """Writes a finished network; one that is there already is that very one."""
    if not path.exists():
        with files.whole_file(path) as temporary:
            network.save(temporary)


def once(
    name: str,
    title: str,
    folder: pathlib.Path,
    training: Callable[[checkpoint.Store], tuple[keras.Model, dict]],
    *,
    epochs: int,
) -> tuple[keras.Model, dict]:
    """Trains a network for one stage, or opens what an earlier run has kept of it.

    Args:
        name: Of its files in `checkpoint/`.
        title: For people.
        folder: Where `checkpoint/` is.
        training: Trains, committing to a store: the network and the record.
        epochs: For people.

    Returns:
        The network and the record.
    """
    kept = files.checkpoints(folder)
    kept.mkdir(parents=True, exist_ok=True)
    weights, record = kept / f"{name}.keras", kept / f"{name}.json"
    for path in (weights, record):
        distributed.share_file(path)
    if record.exists() and weights.exists():
        progress.say(f"==> {title}: finished before, kept")
        return loader.open_own(weights), json.loads(record.read_text())
    weights.unlink(missing_ok=True)  # Of a run killed before its record.
    store = checkpoint.Store(kept, name)
    with progress.step(title, f"{epochs} epochs"), signals.deferred():
        network, made = training(store)
        keep(network, weights)
        files.atomic_write(record, json.dumps(made))
        store.clear()
    return network, made


def fit(
    learner: keras.Model,
    source: batches.Batches,
    *,
    name: str,
    epochs: int,
    store: checkpoint.Store,
    callbacks: Callable[[dict], list],
    validation: data.Split | keras.utils.PyDataset | None = None,
) -> dict:
    """Fits a compiled model of `trainers`.

    Args:
        learner: Has `moving_variables`.
        source: Of the batches.
        name: Of the method.
        epochs: All that there are.
        store: Where moments are committed.
        callbacks: See `resume.fit`.
        validation: What is asked after each epoch; batches of it, on one device.

    Returns:
        The record of a stage, as in `report.json`, without its model.
    """
    fed: dict[str, Any] = {}
    feeds: list[keras.callbacks.Callback] = []
    if isinstance(validation, keras.utils.PyDataset):
        fed = {"validation_data": validation}
    elif validation is not None:
        fed, feeds = devices.validation(validation, source.batch_size)
    with fused.batch_normalization(learner), devices.feeding(shared=True):
        history, seconds = resume.fit(
            learner,
            devices.in_time(source),
            callback=keras.callbacks.Callback,
            epochs=epochs,
            store=store,
            variables=lambda: learner.moving_variables,
            callbacks=lambda past: [*feeds, *callbacks(past)],
            shuffle=False,  # The order is ours already.
            verbose=progress.bar(),
            **fed,
        )
    examples = epochs * source.steps_per_epoch * source.batch_size
    return {
        "name": name,
        "epochs": epochs,
        "seconds": seconds,
        "examples_per_second": examples / seconds,
        "metrics": history,
    }


def _fit(learner, stage, source, given, showing, *, store, part):
    """One stage, from its first step to its record.

    `given` is what it is trained and validated on, with kept answers or without;
    `showing` makes the callbacks that show how it goes.
    """
    with precision.computing(learner, part.precision):
        made = fit(
            learner,
            given[0],
            name=stage.name,
            epochs=stage.epochs,
            store=store,
            callbacks=lambda past: [*showing(past), alarms.Watch(stage.trainer, past)],
            validation=given[1],
        )
    if stage.trainer.recalibrates:
        count = min(RECALIBRATION_BATCHES, source.steps_per_epoch)
        images = (source.batch(step)[0] for step in range(count))
        trainer.recalibrate(learner.student, images)
    trainer.thaw(learner.student)
    alarm = alarms.first(stage.trainer, made["metrics"])
    return {**made, "warnings": [alarm] if alarm else []}
