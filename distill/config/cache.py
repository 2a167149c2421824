"""Which answers of a teacher are kept, and for which runs they can be."""

from __future__ import annotations

import dataclasses
import typing
from typing import Literal

from distill.config import lessons
from distill.runtime.errors import check

if typing.TYPE_CHECKING:
    from distill.config.run import Run


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cache:
    """How a teacher's answers are kept.

    Attributes:
        precision: Of each number: `float32`, which loses nothing, or `float16`.
        top_k: Classes whose logits are kept, the likeliest of each example; absent,
            all. See `Layout.pack` for what becomes of the others.
        max_gb: Most that the answers for one stage may take, in 10^9 bytes.
    """

    precision: Literal["float32", "float16"] = "float32"
    top_k: int | None = None
    max_gb: float = 10.0

    def __post_init__(self):
        """Refuses values out of range."""
        least = self.top_k is None or self.top_k >= 1
        check(least, "top_k", "at least 1, or absent", self.top_k)
        check(self.max_gb > 0, "max_gb", "positive", self.max_gb)


def without_cache(run: Run) -> Run:
    """The run as those who learn from labels alone see it: there is nothing to keep."""
    return dataclasses.replace(
        run,
        augmentation=run.augmentation.endless,
        teacher=dataclasses.replace(run.teacher, cache=None),
    )


def check_run(run: Run) -> None:
    """Refuses runs for which answers cannot be kept.

    Raises:
        ValueError: Names the option.
    """
    options = run.teacher.cache
    if options is None:
        return
    check(
        run.augmentation.variants or not run.augmentation.changes,
        "augmentation.variants",
        "given with `teacher.cache`, such as 8: the teacher is asked about each once",
        None,
    )
    check(
        options.top_k is None or options.top_k < run.data.num_classes,
        "teacher.cache.top_k",
        "less than the number of classes",
        options.top_k,
    )
    for lesson in lessons.lessons(run):
        for index, stage in enumerate(lesson.stages):
            at = f"{lesson.stages_at}[{index}]"
            check(
                stage.synthetic is None,
                f"{at}.synthetic",
                "absent with `teacher.cache`: made examples are new in each step, and "
                "the teacher itself must be asked about them",
                stage.synthetic,
            )
            check(
                options.top_k is None
                or not stage.trainer.needs_teacher
                or stage.trainer.softens_at is not None,
                f"{at}.trainer",
                "one that sees logits through one softmax alone, for "
                "`teacher.cache.top_k`",
                stage.name,
            )
