"""The cache of the teacher's answers: computed once, read in training.

They are stored beside the run's folder in `answers/<fingerprint>/`, a file for each
variant of the training examples and one for validation. They are computed in the order
of the examples, in batches of one size, whatever the order of the training batches:
the same example in another batch could give other bits.
"""

import json
import re

import keras

import students
from distill import config, data
from distill.config import cache
from distill.data import augmentation, batches, dataset
from distill.runtime import hashes, progress
from distill.teach import cache as teach_cache
from distill.teach import shared
from distill.teach.cache import block_file, replay
from distill.teach.cache import fingerprint as cache_fingerprint
from distill.teach.cache import layout as cache_layout
from distill.teach.cache.size import FOLDER, check_disk, required_bytes, variants
from distill.teach.hardware import fused
from distill.teach.workspace import Workspace
from trainers.methods import representations

# Parts of a serialized network that differ between processes: the counters in Keras'
# names, and memory addresses.
_PROCESS_DEPENDENT = re.compile(r'_\d+(?=")|"shared_object_id": \d+')


def obtain(
    work: Workspace,
    source: batches.Batches,
    stage: config.Stage,
    networks: tuple[keras.Model, keras.Model],
) -> tuple[replay.TrainingBatches, replay.ValidationBatches]:
    """Computes the teacher's answers for a stage, unless they are cached already.

    Args:
        work: The run, which has a `teacher.cache`, its data and its folder.
        source: The stage's batches.
        stage: The stage.
        networks: The teacher and the student.

    Returns:
        The training and the validation batches, with answers.

    Raises:
        ConfigError: If the answers do not fit on the disk, or a number is too large
            for the cache's `precision`.
        Stopped: If a signal came; the answers computed so far stay.
    """
    run, splits, folder = work.run, work.splits, work.folder
    teacher, _ = networks
    co_logits = teacher.output.get("co_logits")
    co_teachers = 0 if co_logits is None else co_logits.shape[1]
    shapes = map(representations.shapes, networks)
    layout = cache_layout.layout(
        run.teacher.cache, run.data.num_classes, stage.trainer, *shapes, co_teachers
    )
    outputs = {name: teacher.output[name] for name in layout.names}
    answering = keras.Model(teacher.inputs, outputs, name="answering")
    home = cache_fingerprint.folder(
        folder, FOLDER, fingerprint(run, splits, answering, layout)
    )
    size = required_bytes(run, splits, stage, layout)
    check_disk(size, home)
    with (
        progress.step("teacher's answers", f"{size / 1e6:.1f} MB, in {home}"),
        shared.lock(home, "teacher's answers"),
        fused.for_training(answering),
    ):
        training, validation = (
            replay.Answers(
                layout,
                [
                    block_file.read_or_make(
                        home / f"{name}{number}.rows",
                        layout.dtype,
                        len(split.labels),
                        run.batch_size,
                        _build_ask(answering, layout, split, augmentation, number),
                    )
                    for number in range(variants)
                ],
            )
            for name, split, augmentation, variants in (
                (
                    "training",
                    splits.train,
                    run.augmentation,
                    variants(run, splits, stage),
                ),
                ("validation", splits.validation, augmentation.Augmentation(), 1),
            )
        )
    return replay.TrainingBatches(source, training), replay.ValidationBatches(
        splits.validation, validation, source.batch_size
    )


def fingerprint(
    run: config.Run,
    splits: data.Splits,
    answering: keras.Model,
    layout: cache_layout.Layout,
) -> str:
    """A hash of everything that determines the answers and their format.

    Args:
        run: The run.
        splits: The data.
        answering: The network from inputs to the cached outputs.
        layout: The format.
    """
    network = json.dumps(keras.saving.serialize_keras_object(answering), sort_keys=True)
    form = layout.dtype.descr, layout.temperature
    return cache_fingerprint.fingerprint(
        cache.without_cache(run),
        splits,
        ("augmentation", "batch_size"),
        (students, augmentation, batches, dataset, cache, teach_cache, fused),
        [
            _PROCESS_DEPENDENT.sub("", network),
            hashes.weights_hash(answering),
            str(form),
        ],
    )


def _build_ask(answering, layout, split, augmentation, variant):
    """A function from indices to the rows of answers to one variant of the examples."""

    def ask(indices):
        draws = augmentation.variant(variant, len(split.labels))[:, indices]
        images = augmentation(data.floats(split.inputs[indices]), draws)
        answers = answering.predict_on_batch(images)
        return layout.pack({k: v.astype("float32") for k, v in answers.items()})

    return ask
