"""The teacher's answers: asked for once, kept beside the runs, replayed in training.

They lie in `answers/<fingerprint>/`, a file for each variant of the training examples
and one for validation. The teacher is asked in the order of the examples, in batches
of one size, whatever order a run has.
"""

import json
import re

import keras

import students
from distill import config, data
from distill.config import cache
from distill.data import augmentation, batches, dataset
from distill.runtime import files, hashes, progress
from distill.teach import cache as kept
from distill.teach.cache import block_file, replay
from distill.teach.cache import fingerprint as cache_fingerprint
from distill.teach.cache import layout as cache_layout
from distill.teach.cache.size import FOLDER, check_disk, required_bytes, variants
from distill.teach.hardware import fused
from distill.teach.workspace import Workspace
from trainers.methods import representations

# Of a process, not of a network: Keras' counters in names, places in memory.
_ACCIDENTS = re.compile(r'_\d+(?=")|"shared_object_id": \d+')


def obtain(
    work: Workspace,
    source: batches.Batches,
    stage: config.Stage,
    networks: tuple[keras.Model, keras.Model],
) -> tuple[replay.Taught, replay.Validation]:
    """What a stage trains on and is validated on; asks for what is not kept yet.

    Args:
        work: The run, which has a `teacher.cache`, and its data; answers are kept
            beside its folder.
        source: Of the stage's batches.
        stage: The stage.
        networks: Who teaches, and who learns.

    Raises:
        ConfigError: If there is no room for the answers, or a number is too large
            for how they are kept.
        FolderBusy: If another process asks for the same.
        Stopped: If a signal came; what was answered is kept.
    """
    run, splits, folder = work.run, work.splits, work.folder
    teacher, _ = networks
    co_logits = teacher.output.get("co_logits")
    several = 0 if co_logits is None else co_logits.shape[1]
    shapes = map(representations.shapes, networks)
    layout = cache_layout.layout(
        run.teacher.cache, run.data.num_classes, stage.trainer, *shapes, several
    )
    outputs = {name: teacher.output[name] for name in layout.names}
    asked = keras.Model(teacher.inputs, outputs, name="asked")
    home = cache_fingerprint.folder(
        folder, FOLDER, fingerprint(run, splits, asked, layout)
    )
    size = required_bytes(run, splits, stage, layout)
    check_disk(size, home)
    with (
        progress.step("teacher's answers", f"{size / 1e6:.1f} MB, in {home}"),
        files.lock(home),
        fused.for_training(asked),
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
                        _asking(asked, layout, split, augmentation, number),
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
    return replay.Taught(source, training), replay.Validation(
        splits.validation, validation, source.batch_size
    )


def fingerprint(
    run: config.Run,
    splits: data.Splits,
    asked: keras.Model,
    layout: cache_layout.Layout,
) -> str:
    """Changes with all that decides the answers, and how they are kept.

    Args:
        run: The run.
        splits: The data.
        asked: From inputs to the outputs that are kept.
        layout: How they are kept.
    """
    built = json.dumps(keras.saving.serialize_keras_object(asked), sort_keys=True)
    form = layout.dtype.descr, layout.temperature
    return cache_fingerprint.fingerprint(
        cache.without_cache(run),
        splits,
        ("augmentation", "batch_size"),
        (students, augmentation, batches, dataset, cache, kept, fused),
        [_ACCIDENTS.sub("", built), hashes.weights_hash(asked), str(form)],
    )


def _asking(asked, layout, split, augmentation, variant):
    """From indices to what the teacher says of one variant of these examples."""

    def ask(chosen):
        drawn = augmentation.variant(variant, len(split.labels))[:, chosen]
        images = augmentation(data.floats(split.inputs[chosen]), drawn)
        said = asked.predict_on_batch(images)
        return layout.pack({k: v.astype("float32") for k, v in said.items()})

    return ask
