"""Predicts the size of cached answers, and refuses what does not fit."""

import pathlib
import shutil

from distill import config, data
from distill.config import answering, lessons
from distill.data import beside
from distill.runtime import errors
from distill.teach.cache import layout as cache_layout
from distill.teach.networks import cuts

FOLDER = "answers"  # Beside the runs.
_REMEDY = "or set `precision: float16`, `top_k` or fewer `augmentation.variants`"


def check(
    run: config.Run, splits: data.Splits, folder: pathlib.Path | None = None
) -> list[tuple[str, str, int]]:
    """Predicts the size of the answers for each stage, before anything trains.

    Args:
        run: The run.
        splits: The data.
        folder: The run's folder; if None, the free space of the disk is not checked.

    Returns:
        For each stage with a teacher: its key in the config, the names of the cached
        outputs, and the size in bytes. Empty where no answers are cached.

    Raises:
        ConfigError: If the answers for a stage exceed `teacher.cache.max_gb`, or all
            answers the free space of the disk.
    """
    only_answers = answering.form_of(run.teacher) is not None
    if run.teacher.cache is None and not only_answers:
        return []
    rows, files = [], {}
    others = cuts.shapes(run)
    for lesson in lessons.lessons(run):
        options = answering.cache_of(
            run, answers_once=only_answers and lesson.teacher is None
        )
        if options is None:
            continue
        pair = [
            (network and network.shapes(run.data.input_shape)) or other
            for network, other in zip(lesson[:2], others, strict=True)
        ]
        co_teachers = len(run.co_teachers) if lesson.has_co_teachers else 0
        for index, stage in enumerate(lesson.stages):
            if not stage.trainer.needs_teacher:
                continue
            layout = cache_layout.layout(
                options,
                run.data.num_classes,
                stage.trainer,
                *pair,
                co_teachers,
            )
            where = f"{lesson.stages_at}[{index}]"
            sizes = required_bytes(run, splits, stage, layout)
            size = sum(sizes.values())
            _check_limit(options.max_gb, where, layout.names, size)
            rows.append((where, ", ".join(layout.names), size))
            # Stages with the same teacher and format share their files, but for those
            # of validation where one of them compares examples; see `store.keep`.
            for name, own in sizes.items():
                apart = name == "validation" and stage.trainer.relates_examples
                file = lesson.teacher, co_teachers, layout, name, apart
                files[file] = max(own, files.get(file, 0))
    if folder is not None and files:
        check_disk(sum(files.values()), folder.resolve().parent / FOLDER)
    return rows


def _check_limit(limit, where, names, size):
    if size > limit * 1e9:
        raise errors.ConfigError(
            f"`teacher.cache.max_gb` is {limit:g}, the answers for `{where}` "
            f"take {size / 1e9:.3g} GB ({', '.join(names)}): raise it, {_REMEDY}"
        )


def required_bytes(
    run: config.Run,
    splits: data.Splits,
    stage: config.Stage,
    layout: cache_layout.Layout,
) -> dict[str, int]:
    """Name of each split to the size of its answers for one stage, in bytes."""
    examples = splits.with_unlabelled()
    counts = {**variants(run, splits, stage), "validation": 1}
    return {
        name: layout.dtype.itemsize * count * len(examples[name].labels)
        for name, count in counts.items()
    }


def variants(
    run: config.Run, splits: data.Splits, stage: config.Stage
) -> dict[str, int]:
    """Name of each split that a stage learns from to the variants that it sees of it.

    Args:
        run: The run.
        splits: The data.
        stage: The stage.
    """
    source = beside.build(
        splits,
        stage.labelled_share,
        batch_size=run.batch_size,
        seed=0,
        augmentation=run.augmentation,
    )
    last = stage.epochs * source.steps_per_epoch - 1
    most = run.augmentation.variants or 1
    return {
        "train" if part.split is splits.train else "unlabelled": min(
            int(part.places(last)[0][-1]) + 1, most
        )
        for part in source.parts
    }


def check_disk(size: int, home: pathlib.Path) -> None:
    """Refuses files that do not fit on the disk.

    Args:
        size: Total size that the files in a folder will have, in bytes.
        home: The folder; the files that it already contains are part of `size`.

    Raises:
        ConfigError: If there is less space; states how much.
    """
    # Blocks, of 512 bytes, not lengths: an unfinished file is sparse.
    used = sum(512 * file.stat().st_blocks for file in home.rglob("*"))
    parent = next(path for path in (home, *home.parents) if path.exists())
    room = used + shutil.disk_usage(parent).free
    if size > room:
        raise errors.ConfigError(
            f"`teacher.cache`: the answers take {size / 1e9:.3g} GB, and {home} has "
            f"room for {room / 1e9:.3g} GB: make room, {_REMEDY}"
        )
