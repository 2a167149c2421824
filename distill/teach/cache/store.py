"""The cache of the teacher's answers: computed once, read in training.

They are stored beside the run's folder in `answers/<fingerprint>/`, a file for each
variant of the training examples and one for each other split. They are computed in the
order of the examples, in batches of one size, whatever the order of training batches:
the same example in another batch could give other bits. Those of a network to the
validation examples are computed in the batches in which a stage validates.
"""

from collections.abc import Mapping

import keras

import students
from distill import config, data
from distill.config import answering as answering_options
from distill.config import cache
from distill.data import augmentation, batches, beside, dataset
from distill.runtime import progress
from distill.teach import answering, shared
from distill.teach import cache as teach_cache
from distill.teach.answering import stand_in
from distill.teach.answering.asked import Asked
from distill.teach.cache import asking, block_file, replay
from distill.teach.cache import fingerprint as cache_fingerprint
from distill.teach.cache import layout as cache_layout
from distill.teach.cache.size import FOLDER, check_disk, variants
from distill.teach.hardware import fused
from distill.teach.workspace import Workspace
from trainers.methods import representations

# Name of each split to that of its files.
_FILES = {
    "train": "training",
    "unlabelled": "unlabelled",
    "validation": "validation",
    "test": "test",
}


def obtain(
    work: Workspace,
    source: batches.Batches | beside.Beside,
    stage: config.Stage,
    networks: tuple[keras.Model, keras.Model],
    options: cache.Cache,
) -> tuple[replay.TrainingBatches, replay.ValidationBatches]:
    """Computes the teacher's answers for a stage, unless they are cached already.

    Args:
        work: The run, its data and its folder.
        source: The stage's batches.
        stage: The stage.
        networks: The teacher, or its stand-in, and the student.
        options: The options of the cache.

    Returns:
        The training and the validation batches, with answers.

    Raises:
        ConfigError, Stopped, Untrusted: As `keep`.
    """
    run, splits = work.run, work.splits
    teacher, learner = networks
    co_logits = teacher.output.get("co_logits")
    co_teachers = 0 if co_logits is None else co_logits.shape[1]
    shapes = representations.features(teacher), representations.shapes(learner)
    layout = cache_layout.layout(
        options, run.data.num_classes, stage.trainer, *shapes, co_teachers
    )
    counts = variants(run, splits, stage)
    wanted = {**counts, "validation": 1}
    size = batches.validation_size(
        run.batch_size, related=stage.trainer.relates_examples
    )
    if answerer := stand_in.answerer_of(teacher):
        kept = keep(work, answerer, layout, wanted, run.batch_size)
    else:
        kept = keep(work, asking.Network(teacher, layout.names), layout, wanted, size)
    return (
        replay.TrainingBatches(source, [kept[name] for name in counts]),
        replay.ValidationBatches(splits.validation, kept["validation"], size),
    )


def keep(
    work: Workspace,
    asked: Asked,
    layout: cache_layout.Layout,
    counts: Mapping[str, int],
    at_once: int,
) -> dict[str, replay.Answers]:
    """Asks a teacher for its answers to whole splits, unless they are cached already.

    Args:
        work: The run, its data and its folder.
        asked: What answers.
        layout: The format of the answers.
        counts: Name of each split to the number of variants of its examples; only
            training examples have more than one.
        at_once: Number of validation examples that are asked at once: of a network as
            many as a stage with a live teacher does. What runs elsewhere never answers
            live, and has a limit of time for each batch: as many as in training.

    Returns:
        Name of each of these splits to the answers.

    Raises:
        ConfigError: If the answers do not fit on the disk, or a number is too large
            for the cache's `precision`.
        Stopped: If a signal came; the answers computed so far stay.
        Untrusted: If a teacher that is foreign does not answer.
    """
    run, parts = work.run, work.splits.with_unlabelled()
    home = cache_fingerprint.folder(
        work.folder, FOLDER, fingerprint(run, work.splits, asked.identity, layout)
    )
    examples = sum(count * len(parts[name].labels) for name, count in counts.items())
    size = layout.dtype.itemsize * examples
    blocks = dict.fromkeys(counts, run.batch_size)
    blocks["validation"] = min(at_once, len(parts["validation"].labels))
    check_disk(size, home)
    with (
        progress.step("teacher's answers", f"{size / 1e6:.1f} MB, in {home}"),
        shared.lock(home, "teacher's answers"),
        asked.ready(),
    ):
        return {
            name: replay.Answers(
                layout,
                [
                    block_file.read_or_make(
                        # Asked in other batches, they may have other last bits, and
                        # would count as damaged.
                        home / f"{_FILES[name]}{number}_by_{blocks[name]}.rows",
                        layout.dtype,
                        len(parts[name].labels),
                        blocks[name],
                        _build_ask(asked, layout, work, name, number),
                    )
                    for number in range(count)
                ],
            )
            for name, count in counts.items()
        }


def fingerprint(
    run: config.Run,
    splits: data.Splits,
    identity: str,
    layout: cache_layout.Layout,
) -> str:
    """A hash of everything that determines the answers and their format.

    Args:
        run: The run.
        splits: The data.
        identity: That of the teacher; see `answering.asked`.
        layout: The format.
    """
    form = layout.dtype.descr, layout.temperature
    return cache_fingerprint.fingerprint(
        answering_options.without_cache(run),
        splits,
        ("augmentation", "batch_size"),
        (
            students,
            augmentation,
            batches,
            dataset,
            cache,
            teach_cache,
            fused,
            answering,
        ),
        [identity, str(form)],
    )


def _build_ask(asked, layout, work, name, variant):
    """A function from indices to the rows of answers to one variant of the examples."""
    split = work.splits.with_unlabelled()[name]
    is_changed = name in ("train", "unlabelled")
    changes = work.run.augmentation if is_changed else augmentation.Augmentation()

    def ask(indices):
        draws = changes.variant(variant, len(split.labels))[:, indices]
        inputs = changes(data.floats(split.inputs[indices]), draws)
        return layout.pack(asked.answer(name, indices, inputs))

    return ask
