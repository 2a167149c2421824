"""Trains one network through its stages; a finished stage is never run again."""

import json
import pathlib
from collections.abc import Callable, Sequence

import keras

from distill import config
from distill.data import batches
from distill.measure import stitching
from distill.report import tensorboard
from distill.runtime import files, progress, seeds
from distill.runtime.process import distributed, signals
from distill.runtime.resume import checkpoint
from distill.runtime.trust import loader
from distill.teach import fit, memory, synthetic
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

    Each stage starts from its own seed and its own optimizer, and goes on from
    its last committed moment, so that a run which was killed at any step ends as
    an undisturbed one, bit for bit.

    Args:
        name: `teacher`, `teacher2`, `assistant1`, `student`, or a control's name:
            of files and in the report.
        stages: What to run, in order.
        work: The rest of what decides the outcome; `checkpoint/` and `tensorboard/`
            are made in its folder.
        teacher: Trained, for the methods that need one.
        generator: Trained, for the stages that want its examples.

    Returns:
        The trained network, and one record a stage as in `report.json`.
    """
    run, splits, folder = work.run, work.splits, work.folder
    network, records = None, []
    for index, stage in enumerate(stages):
        title = f"{name}, stage {index + 1} of {len(stages)} ({stage.name})"

        def stage_of(store, network=network, index=index, stage=stage):
            network = network or build.build(name, run)
            memory.check(network, run.batch_size)
            source = build_batches(
                work, stage, index, teacher=teacher, generator=generator
            )
            given = source, splits.validation
            if run.teacher.cache and stage.trainer.needs_teacher:
                pair = teacher, network
                given = obtain(work, source, stage, pair)
            log_dir = folder / "tensorboard" / f"{name}.{index}.{stage.name}"
            keras.utils.set_random_seed(seeds.seed_of(run.seed, name, index))
            learner = build_learner(run, stage, source, network, teacher)
            made = fit._fit(
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

        network, record = train_once(
            f"{name}.{index}", title, folder, stage_of, epochs=stage.epochs
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
) -> batches.Batches:
    """The batches of a stage.

    Args:
        work: The run and its data.
        stage: The stage.
        index: Of it, among those of its network.
        teacher: See `train`; without one, augmentation never repeats itself.
        generator: See `train`.
    """
    run, splits = work.run, work.splits
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


def save_once(network: keras.Model, path: pathlib.Path) -> None:
    """Writes a finished network; one that is there already is that very one."""
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
    with progress.step(title, f"{epochs} epochs", name), signals.deferred():
        network, made = training(store)
        save_once(network, weights)
        files.atomic_write(record, json.dumps(made))
        store.clear()
    return network, made
