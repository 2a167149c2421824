"""The teacher's answers: asked for once, kept beside the runs, replayed in training.

They lie in `answers/<fingerprint>/`, a file for each variant of the training examples
and one for validation. The teacher is asked in the order of the examples, in batches
of one size, whatever order a run has.
"""

import json
import pathlib
import re
import sys
from collections.abc import Iterator

import keras
import numpy as np

import students
from distill import blocks, config, data, fused, kept, room
from distill.config import cache
from distill.data import augmentation, batches, dataset
from distill.runtime import files, hashes, progress
from trainers import representations, trainer

# Of a process, not of a network: Keras' counters in names, places in memory.
_ACCIDENTS = re.compile(r'_\d+(?=")|"shared_object_id": \d+')


class Answers:
    """What the teacher has said of one split.

    Args:
        layout: How that is kept.
        variants: One array of `layout.dtype` each, one row an example.
    """

    def __init__(self, layout: cache.Layout, variants: list[np.ndarray]):
        self._layout = layout
        self._variants = variants

    def of(self, variants: np.ndarray, chosen: np.ndarray) -> dict[str, np.ndarray]:
        """Answers to some examples.

        Args:
            variants: How each is augmented, `(n,)`.
            chosen: Their indices in the split, `(n,)`.

        Returns:
            Name of each output to `(n, ...)`.
        """
        rows = np.empty(len(chosen), self._layout.dtype)
        # A batch beyond the last step, which `fit` reads and never trains on, may be
        # of a variant that nobody has asked about.
        variants = np.minimum(variants, len(self._variants) - 1)
        for variant in np.unique(variants):
            own = variants == variant
            rows[own] = self._variants[variant][chosen[own]]
        return self._layout.unpack(rows)


class Taught:
    """Training batches that come with the teacher's answers; see `resume.Source`.

    Args:
        source: Of the batches.
        answers: To the training examples.
    """

    def __init__(self, source: batches.Batches, answers: Answers):
        self.batch_size = source.batch_size
        self.steps_per_epoch = source.steps_per_epoch
        self._source = source
        self._answers = answers

    def stream(self, start: int = 0) -> Iterator:
        """Batches without end, from number `start` on."""
        variants = self._source.augmentation.variants or 1
        for step, (inputs, labels) in enumerate(self._source.stream(start), start):
            epochs, chosen = self._source.places(step)
            said = self._answers.of(epochs % variants, chosen)
            yield trainer.with_answers(inputs, said), labels


class Validation(keras.utils.PyDataset):
    """A split in its order, in batches that come with the teacher's answers.

    Args:
        split: The examples.
        answers: To them.
        batch_size: Of all but the last.
    """

    def __init__(self, split: data.Split, answers: Answers, batch_size: int):
        super().__init__()
        self._split = split
        self._answers = answers
        self._size = batch_size

    def __len__(self):
        """Batches."""
        return -(-len(self._split.labels) // self._size)

    def __getitem__(self, index):
        """One batch."""
        everyone = np.arange(len(self._split.labels))
        chosen = everyone[index * self._size : (index + 1) * self._size]
        part, said = self._split.take(chosen), self._answers.of(0 * chosen, chosen)
        return trainer.with_answers(part.floats(), said), part.labels


def ready(
    run: config.Run,
    splits: data.Splits,
    folder: pathlib.Path,
    source: batches.Batches,
    stage: config.Stage,
    networks: tuple[keras.Model, keras.Model],
) -> tuple[Taught, Validation]:
    """What a stage trains on and is validated on; asks for what is not kept yet.

    Args:
        run: The run; it has a `teacher.cache`.
        splits: The data.
        folder: Beside which answers are kept.
        source: Of the stage's batches.
        stage: The stage.
        networks: Who teaches, and who learns.

    Raises:
        ConfigError: If there is no room for the answers, or a number is too large
            for how they are kept.
        FolderBusy: If another process asks for the same.
        Stopped: If a signal came; what was answered is kept.
    """
    teacher, _ = networks
    co_logits = teacher.output.get("co_logits")
    several = 0 if co_logits is None else co_logits.shape[1]
    shapes = map(representations.shapes, networks)
    layout = cache.layout(run, stage.trainer, *shapes, several)
    outputs = {name: teacher.output[name] for name in layout.names}
    asked = keras.Model(teacher.inputs, outputs, name="asked")
    home = kept.home(folder, room.FOLDER, fingerprint(run, splits, asked, layout))
    size = room.taken(run, splits, stage, layout)
    room.check_disk(size, home)
    with (
        progress.step("teacher's answers", f"{size / 1e6:.1f} MB, in {home}"),
        files.lock(home),
        fused.batch_normalization(asked),
    ):
        training, validation = (
            Answers(
                layout,
                [
                    blocks.whole(
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
                    room.variants(run, splits, stage),
                ),
                ("validation", splits.validation, augmentation.Augmentation(), 1),
            )
        )
    return Taught(source, training), Validation(
        splits.validation, validation, source.batch_size
    )


def fingerprint(
    run: config.Run, splits: data.Splits, asked: keras.Model, layout: cache.Layout
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
    return kept.fingerprint(
        cache.without_cache(run),
        splits,
        ("augmentation", "batch_size"),
        (students, batches, dataset, cache, fused, sys.modules[__name__]),
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
