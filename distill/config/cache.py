"""The options of the cache of teachers' outputs, and the runs that can use it."""

from __future__ import annotations

import dataclasses
import typing
from typing import Literal

from distill.config import lessons
from distill.runtime.errors import check

# For annotations only: `config.run` imports this module.
if typing.TYPE_CHECKING:
    from distill.config.run import Run


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cache:
    """How the teacher's outputs are cached.

    Attributes:
        precision: Type of the cached numbers: `float32`, which is lossless, or
            `float16`.
        top_k: Number of classes whose logits are cached, the most likely ones of each
            example; absent, all. The others get equal logits; see `Layout.pack`.
        max_gb: Maximal size of the cached outputs of one stage, in 10^9 bytes.
    """

    precision: Literal["float32", "float16"] = "float32"
    top_k: int | None = None
    max_gb: float = 10.0

    def __post_init__(self):
        """Refuses values out of range."""
        valid = self.top_k is None or self.top_k >= 1
        check(valid, "top_k", "at least 1, or absent", self.top_k)
        check(self.max_gb > 0, "max_gb", "positive", self.max_gb)


def check_run(run: Run) -> None:
    """Refuses runs whose teachers' outputs cannot be cached.

    Raises:
        ValueError: If an option does not fit; the message names it.
    """
    options = run.teacher.cache
    if options is None:
        return
    check(
        run.augmentation.variants or not run.augmentation.changes,
        "augmentation.variants",
        "given with `teacher.cache`, such as 8: one output is cached for each variant",
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
            path = f"{lesson.stages_at}[{index}]"
            check(
                stage.synthetic is None,
                f"{path}.synthetic",
                "absent with `teacher.cache`: made examples are new in each step, so "
                "that the teacher's outputs for them cannot be cached",
                stage.synthetic,
            )
            # Of the other classes only a mean at one temperature is cached, which is
            # enough for one softmax at this temperature and for nothing else.
            check(
                options.top_k is None
                or not stage.trainer.needs_teacher
                or stage.trainer.softens_at is not None,
                f"{path}.trainer",
                "one that sees logits through one softmax only, because of "
                "`teacher.cache.top_k`",
                stage.name,
            )
