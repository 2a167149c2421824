"""The generator: it is trained once and reused by later runs."""

import sys

import keras
import numpy as np

import gan
import trainers
from distill import config, data
from distill.data import augmentation, batches
from distill.report import tensorboard
from distill.runtime import seeds, strided
from distill.runtime.resume import checkpoint
from distill.teach import fit, memory, shared, stages
from distill.teach import learner as teach_learner
from distill.teach.cache import fingerprint as cache_fingerprint
from distill.teach.hardware import fused, precision, training
from distill.teach.workspace import Workspace
from trainers import trainer
from trainers.generators import generator

COLUMNS = 8  # Examples of each class in a sample sheet.
ROWS = 20  # Largest number of classes in a sample sheet.

# Modules whose code influences a generator's weights.
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
    strided,
    training,
    sys.modules[__name__],
)


def obtain(
    work: Workspace,
) -> tuple[keras.Model | None, list[dict]]:
    """Trains the generator, or loads that of an earlier run, if a stage needs one.

    It is stored beside the run's folder, in `generators/<fingerprint>/`, where later
    runs with the same generator find it.

    Args:
        work: The run, its data and its folder. Of the data only the training split
            is used.

    Returns:
        The network, and a list with its record as in `report.json`; None and an
        empty list if no stage needs a generator.
    """
    run, splits, folder = work.run, work.splits, work.folder
    if not run.uses_generator:
        return None, []
    home = cache_fingerprint.folder(folder, "generators", fingerprint(run, splits))
    with shared.lock(home, "generator"):
        network, record = stages.train_once(
            "generator",
            "generator (acgan)",
            home,
            lambda store: _train(run, splits, home, store),
            epochs=run.generator.epochs,
        )
    return network, [record]


def fingerprint(run: config.Run, splits: data.Splits) -> str:
    """A hash of everything that determines a generator."""
    options = ("generator", "data", "batch_size", "seed")
    also = [run.hardware.decides]
    seen = splits.labelled_alone
    return cache_fingerprint.fingerprint(run, seen, options, _DECIDING, also)


def _train(run, splits, home, store: checkpoint.Store):
    part = run.generator
    source = batches.Batches(
        splits.train,
        batch_size=run.batch_size,
        seed=seeds.seed_of(run.seed, "generator", "order"),
        # Its images are augmented in the stages that train on them. Trained on
        # augmented images, it would learn the augmentation, which would come twice.
        augmentation=augmentation.Augmentation(),
    )
    keras.utils.set_random_seed(seeds.seed_of(run.seed, "generator"))
    shape = run.data.input_shape, run.data.num_classes
    network = part.network.build(*shape)
    discriminator = part.discriminator.build(*shape)
    for model in (network, discriminator):
        memory.check(model, run.batch_size)
    learner = generator.GeneratorTrainer(
        generator=network, discriminator=discriminator, method=part.training
    )
    learner.compile(**teach_learner.compile_options(run.hardware, learner.sides()))
    log_dir = home / "tensorboard" / "generator"
    record = fit.fit(
        learner,
        source,
        epochs=part.epochs,
        store=store,
        callbacks=lambda past: tensorboard.callbacks(
            log_dir,
            source.batch_size,
            past,
            {"images/generated": lambda: samples(network, run.data.num_classes)},
        ),
        precision=run.hardware.precision,
    )
    # The final weights are an average over steps; BatchNormalization's statistics
    # belong to the weights before averaging.
    trainer.recalibrate(network, _noise_and_labels(network, source, run.seed))
    return network, {"model": "generator", "name": "acgan", **record}


def _noise_and_labels(network, source, seed):
    """Yields a generator's inputs, with the labels of the first training batches."""
    length = network.input["noise"].shape[-1]
    rng = np.random.default_rng(seeds.seed_of(seed, "generator", "statistics"))
    for step in range(min(fit.RECALIBRATION_BATCHES, source.steps_per_epoch)):
        labels = source.batch(step)[1].astype("int32")
        noise = rng.standard_normal((len(labels), length), dtype=np.float32)
        yield {"noise": noise, "label": labels}


def samples(network: keras.Model, num_classes: int) -> np.ndarray:
    """Sample images for display, from the same noise at every call.

    Args:
        network: A generator of images.
        num_classes: Number of classes, of which the first 20 are sampled.

    Returns:
        `(classes * 8, height, width, channels)`, eight images of each class.
    """
    length = network.input["noise"].shape[-1]
    labels = np.repeat(np.arange(min(num_classes, ROWS)), COLUMNS)
    noise = np.random.default_rng(0).standard_normal((len(labels), length))
    inputs = {"noise": noise.astype("float32"), "label": labels.astype("int32")}
    return keras.ops.convert_to_numpy(network(inputs, training=False))
