"""The config of a study: one teacher, students, and the rows that they learn from."""

import dataclasses
from typing import Annotated, Literal

from distill.studies.tabular import learners, tables, transfer
from distill.studies.tabular.learners import check_at_least_one


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """All options of `python -m distill.tabular`.

    Attributes:
        data: The rows; see `tables.TABLES`.
        scaling: `standard`: mean 0, variance 1 for each feature; `quantile`: each
            feature transformed to a normal distribution by its ranks. Fitted on the
            training rows and applied to all rows, for teacher and students.
        teacher: The learner that is imitated; see `learners.TEACHERS`.
        students: The learners that imitate it; see `learners.STUDENTS`.
        transfers: The sets that each student learns from; see `transfer.TRANSFERS`. All
            are compared with `train`, which must be among them.
        measured_on: `test`; or `validation`, to choose options without using the
            test split.
        seed: The first seed; it decides the splits and all draws.
        seeds: Number of seeds: everything is repeated with `seed`, `seed` + 1, ...
        speed_rows: Number of rows that are predicted to measure speed, on one core.
    """

    data: Annotated[tables.Table, tables.TABLES]
    scaling: Literal["standard", "quantile"] = "standard"
    teacher: Annotated[learners.Forest, learners.TEACHERS]
    students: tuple[Annotated[learners.Student, learners.STUDENTS], ...]
    transfers: tuple[Annotated[transfer.Transfer, transfer.TRANSFERS], ...]
    measured_on: Literal["test", "validation"] = "test"
    seed: int = 0
    seeds: int = 5
    speed_rows: int = 30_000

    def __post_init__(self):
        """Refuses values out of range, and parts with the same name."""
        check_at_least_one(self, "seeds", "speed_rows")
        if self.seed < 0:
            raise ValueError(f"`seed` must be at least 0. Received: {self.seed}")
        students = [student.label for student in self.students]
        if not students or len(set(students)) < len(students):
            raise ValueError(
                f"`students` must be at least one, all different. Received: {students}"
            )
        names = [transfer.label(part) for part in self.transfers]
        if len(set(names)) < len(names):
            raise ValueError(f"`transfers` must be all different. Received: {names}")
        if "train" not in names:
            raise ValueError(
                "`transfers` must include `train`: all are compared with it. "
                f"Received: {names}"
            )

    def check_effects(self):
        """Refuses the size of a validation split that is not used."""
        fraction = self.data.validation_fraction
        # Set to its default, it counts as not set, as in `effect.find_idle`.
        if (
            self.measured_on == "test"
            and fraction != type(self.data).validation_fraction
        ):
            raise ValueError(
                "`data.options.validation_fraction` must be left out without "
                f"`measured_on: validation`. Received: {fraction}"
            )
