"""Trains one network through its stages; a finished stage is loaded, not repeated."""

import functools
import json
import pathlib
from collections.abc import Callable, Sequence

import keras

from distill import config
from distill.config import answering as answering_options
from distill.data import batches, beside
from distill.measure import folded, stitching
from distill.report import tensorboard
from distill.runtime import files, progress, seeds
from distill.runtime.process import distributed, signals
from distill.runtime.resume import checkpoint
from distill.runtime.trust import loader
from distill.teach import fit, memory, synthetic
from distill.teach.answering.stand_in import is_stand_in
from distill.teach.cache.store import obtain
from distill.teach.learner import build_learner
from distill.teach.networks import build
from distill.teach.workspace import Workspace


def train(
    name: str,
    stages: Sequence[config.Stage],
    work: Workspace,
    *,
    teacher: keras.Model | None = None,
    generator: keras.Model | None = None,
) -> tuple[keras.Model, list[dict]]:
    """Builds a network and trains it through its stages.

    Each stage has its own seed and its own optimizer, and resumes from its last
    checkpoint, so that a run killed at any step ends with the same bytes as an
    uninterrupted one.

    Args:
        name: `teacher`, `teacher2`, `assistant1`, `student`, or a control's name; it
            names the files and the network in the report.
        stages: The stages, in order.
        work: The run, its data, and the folder in which `checkpoint/` and
            `tensorboard/` are created.
        teacher: The trained teacher, for the methods that need one.
        generator: The trained generator, for stages with generated examples.

    Returns:
        The trained network, and one record for each stage, as in `report.json`.
    """
    run, splits, folder = work.run, work.splits, work.folder
    network, records = None, []

    @functools.cache
    def fold_teacher():
        examples = splits.validation.sample(folded.EXAMPLES, run.seed)
        return folded.answering(teacher, examples.floats())

    for index, stage in enumerate(stages):
        title = f"{name}, stage {index + 1} of {len(stages)} ({stage.name})"

        # The defaults bind the loop's variables as they are now.
        def train_stage(store, network=network, index=index, stage=stage):
            network = network or build.build(name, run)
            memory.check(network, run.batch_size)
            source = build_batches(
                work, stage, index, teacher=teacher, generator=generator
            )
            inputs = source, splits.validation
            answering = fold_teacher() if stage.trainer.needs_teacher else None
            options = answering_options.cache_of(
                run, answers_once=answering is not None and is_stand_in(answering)
            )
            if options and answering is not None:
                inputs = obtain(work, source, stage, (answering, network), options)
            log_dir = folder / "tensorboard" / f"{name}.{index}.{stage.name}"
            keras.utils.set_random_seed(seeds.seed_of(run.seed, name, index))
            learner = build_learner(
                *(run, stage, source, network, teacher, answering),
                has_labels=splits.validation.has_labels,
            )
            record = fit.fit_stage(
                learner,
                stage,
                source,
                inputs,
                lambda past: [
                    *stitching.callbacks(learner, splits.validation, run.seed),
                    *tensorboard.callbacks(log_dir, run.batch_size, past),
                    *(work.tracker.callbacks(log_dir.name) if work.tracker else []),
                ],
                store=store,
                hardware=run.hardware,
            )
            return network, {"model": name, **record}

        network, record = train_once(
            f"{name}.{index}", title, folder, train_stage, epochs=stage.epochs
        )
        records.append(record)
    return network, records


def build_batches(
    work: Workspace,
    stage: config.Stage,
    index: int,
    *,
    teacher: keras.Model | None,
    generator: keras.Model | None,
) -> batches.Batches | beside.Beside:
    """Builds the batches of a stage.

    Args:
        work: The run and its data.
        stage: The stage.
        index: Index of the stage among those of its network.
        teacher: See `train`. Without a teacher the number of variants that an
            example is augmented to is not limited.
        generator: See `train`.
    """
    run, splits = work.run, work.splits
    mixture = synthetic.mixture(
        stage.synthetic, splits.train, generator=generator, teacher=teacher
    )
    return beside.build(
        splits,
        stage.labelled_share,
        batch_size=run.batch_size,
        seed=seeds.seed_of(run.seed, "order", index),
        augmentation=run.augmentation.without_variants
        if teacher is None
        else run.augmentation,
        mixture=mixture,
    )


def save_once(network: keras.Model, path: pathlib.Path) -> None:
    """Writes a finished network unless the file exists, which then holds the same."""
    if not path.exists():
        with files.whole_file(path) as temporary:
            network.save(temporary)


def train_once(
    name: str,
    title: str,
    folder: pathlib.Path,
    training: Callable[[checkpoint.Store], tuple[keras.Model, dict]],
    *,
    epochs: int,
) -> tuple[keras.Model, dict]:
    """Trains a network for one stage, or loads it if the stage is finished.

    Args:
        name: Name of the files in `checkpoint/`.
        title: The stage's title in the progress output.
        folder: The folder that contains `checkpoint/`.
        training: Trains with a store for checkpoints; returns the network and the
            record.
        epochs: Number of epochs, for the progress output.

    Returns:
        The network and the record.
    """
    checkpoints = files.checkpoints(folder)
    checkpoints.mkdir(parents=True, exist_ok=True)
    network_path = checkpoints / f"{name}.keras"
    record_path = checkpoints / f"{name}.json"
    for path in (network_path, record_path):
        distributed.share_file(path)
    if record_path.exists() and network_path.exists():
        progress.say(f"==> {title}: finished before, kept")
        return loader.open_own(network_path), files.read_json(record_path)
    # Left by a run that was killed between the network and its record.
    network_path.unlink(missing_ok=True)
    store = checkpoint.Store(checkpoints, name)
    with progress.step(title, f"{epochs} epochs", name), signals.deferred():
        network, record = training(store)
        # In this order: the record marks the stage as finished, and the checkpoint
        # is needed until then.
        save_once(network, network_path)
        files.atomic_write(record_path, json.dumps(record))
        store.clear()
    return network, record
