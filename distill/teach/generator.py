"""The generator: trained once, and kept for later runs."""

import sys

import keras
import numpy as np

import gan
import trainers
from distill import config, data
from distill.data import augmentation, batches
from distill.report import tensorboard
from distill.runtime import files, seeds
from distill.runtime.resume import checkpoint
from distill.teach import fit, memory, stages
from distill.teach import learner as teach_learner
from distill.teach.cache import fingerprint as cache_fingerprint
from distill.teach.hardware import fused, precision
from distill.teach.workspace import Workspace
from trainers import trainer
from trainers.generators import generator

COLUMNS = 8  # Examples of each class on a sheet.
ROWS = 20  # Classes on a sheet, at most.

# Code that decides what a generator becomes.
_DECIDING = (
    gan,
    trainers,
    augmentation,
    batches,
    fit,
    fused,
    teach_learner,
    precision,
    seeds,
    stages,
    sys.modules[__name__],
)


def obtain(
    work: Workspace,
) -> tuple[keras.Model | None, list[dict]]:
    """The trained generator, if a stage of the run wants one.

    It is kept beside the run, in `generators/<fingerprint>/`, where later runs of
    the same generator find it.

    Args:
        work: The run, its data, of which the training split alone is seen, and its
            folder.

    Returns:
        The network, and its record as in `report.json`; None and nothing where no
        stage wants it.

    Raises:
        FolderBusy: If another process trains the same generator.
    """
    run, splits, folder = work.run, work.splits, work.folder
    if not run.uses_generator:
        return None, []
    home = cache_fingerprint.folder(folder, "generators", fingerprint(run, splits))
    with files.lock(home):
        network, record = stages.train_once(
            "generator",
            "generator (acgan)",
            home,
            lambda store: _train(run, splits, home, store),
            epochs=run.generator.epochs,
        )
    return network, [record]


def fingerprint(run: config.Run, splits: data.Splits) -> str:
    """Changes with all that decides a generator; see `fingerprint.fingerprint`."""
    options = ("generator", "data", "batch_size", "seed")
    also = [run.hardware.decides]
    return cache_fingerprint.fingerprint(run, splits, options, _DECIDING, also)


def _train(run, splits, home, store: checkpoint.Store):
    part = run.generator
    source = batches.Batches(
        splits.train,
        batch_size=run.batch_size,
        seed=seeds.seed_of(run.seed, "generator", "order"),
        # What it makes is augmented as the real ones are: once.
        augmentation=augmentation.Augmentation(),
    )
    keras.utils.set_random_seed(seeds.seed_of(run.seed, "generator"))
    shape = run.data.input_shape, run.data.num_classes
    network, against = part.network.build(*shape), part.discriminator.build(*shape)
    for side in (network, against):
        memory.check(side, run.batch_size)
    learner = generator.GeneratorTrainer(
        generator=network, discriminator=against, method=part.training
    )
    learner.compile(**teach_learner.compile_options(run.hardware, learner.sides()))
    log_dir = home / "tensorboard" / "generator"
    with precision.scope(learner, run.hardware.precision):
        record = fit.fit(
            learner,
            source,
            name="acgan",
            epochs=part.epochs,
            store=store,
            callbacks=lambda past: tensorboard.callbacks(
                log_dir,
                source.batch_size,
                past,
                {"images/generated": (lambda: samples(network, run.data.num_classes))},
            ),
        )
    # The weights that are kept are an average, of which no statistic was taken.
    trainer.recalibrate(network, _noise_and_labels(network, source, run.seed))
    return network, {"model": "generator", **record}


def _noise_and_labels(network, source, seed):
    """Inputs of a generator, with the classes of the first training batches."""
    length = network.input["noise"].shape[-1]
    rng = np.random.default_rng(seeds.seed_of(seed, "generator", "statistics"))
    for step in range(min(fit.RECALIBRATION_BATCHES, source.steps_per_epoch)):
        labels = source.batch(step)[1].astype("int32")
        noise = rng.standard_normal((len(labels), length), dtype=np.float32)
        yield {"noise": noise, "label": labels}


def samples(network: keras.Model, num_classes: int) -> np.ndarray:
    """Examples to look at: the same noise at every call, a row of eight a class.

    Args:
        network: A generator of images.
        num_classes: The first 20 of them are shown.

    Returns:
        `(rows * 8, height, width, channels)`.
    """
    length = network.input["noise"].shape[-1]
    labels = np.repeat(np.arange(min(num_classes, ROWS)), COLUMNS)
    noise = np.random.default_rng(0).standard_normal((len(labels), length))
    given = {"noise": noise.astype("float32"), "label": labels.astype("int32")}
    return keras.ops.convert_to_numpy(network(given, training=False))
