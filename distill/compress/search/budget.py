"""The limits of the final file's size and accuracy, and of the search for it."""

import dataclasses
from typing import ClassVar, Literal

from distill.compress import finishers
from distill.runtime.errors import check


@dataclasses.dataclass(frozen=True)
class Limit:
    """A limit of one of a file's sizes.

    Attributes:
        kb: Maximum size in kB of 1000 bytes.
        key: Key of the size in a model of `report.json`.
        how: What is done to the file before its bytes are counted, for messages.
    """

    kb: float
    key: str
    how: str

    def excess(self, model: dict) -> float:
        """The share of the limit by which a file is larger; negative if smaller.

        Args:
            model: The file's record, as in `report.json`.
        """
        return model[self.key] / (1000 * self.kb) - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget:
    """Limits of the last file of `finish`; with `trials`, a search for that file.

    At least one of `max_kb` and `max_packed_kb` is required; if both are given, both
    hold.

    Attributes:
        max_kb: Maximum size in kB of 1000 bytes.
        max_packed_kb: Maximum size of the packed file in kB of 1000 bytes: what
            `python -m distill.pack` makes for transfer and storage, which does not run.
        max_drop: Maximum loss of accuracy against the model, in percentage points on
            the validation split.
        counts: Which bytes `max_kb` limits: those of the `file` on disk; or those after
            `gzip`. Clusters, and zeros in eight bits, gain only there and packed.
        trials: Number of short trials, the best of which is then finished at full
            length; 0 means no search, and `finish` is made as it is.
        part: Share of the epochs that a trial trains; at least one epoch.
        among: Names of the finishers to choose from; if empty, all that the model
            supports.

    Raises:
        ValueError: If an option is out of its range.
    """

    only_with: ClassVar[dict[str, str]] = {
        "counts": "max_kb",
        "part": "trials",
        "among": "trials",
    }

    max_kb: float | None = None
    max_packed_kb: float | None = None
    max_drop: float = 1.0
    counts: Literal["file", "gzip"] = "file"
    trials: int = 24
    part: float = 0.2
    among: tuple[str, ...] = ()

    def __post_init__(self):
        """Refuses values out of range and unknown names."""
        check(self.limits, "max_kb", "given, or `max_packed_kb`", self.max_kb)
        for name, limit in self.limits.items():
            check(limit.kb > 0, name, "positive", limit.kb)
        check(self.max_drop >= 0, "max_drop", "at least 0", self.max_drop)
        check(self.trials >= 0, "trials", "at least 0", self.trials)
        check(0 < self.part <= 1, "part", "in (0, 1]", self.part)
        for index, name in enumerate(self.among):
            known = f"one of {', '.join(finishers.FINISHERS)}"
            check(name in finishers.FINISHERS, f"among[{index}]", known, name)

    @property
    def limits(self) -> dict[str, Limit]:
        """Name of each option that limits a size to its limit."""
        counted = {"file": ("bytes", ""), "gzip": ("gzip_bytes", " through gzip")}
        limits = {
            "max_kb": Limit(self.max_kb, *counted[self.counts]),
            "max_packed_kb": Limit(self.max_packed_kb, "packed_bytes", " packed"),
        }
        return {name: limit for name, limit in limits.items() if limit.kb is not None}

    @property
    def allowed(self) -> str:
        """The allowed sizes in words."""
        return " and ".join(
            f"{limit.kb} kB{limit.how}" for limit in self.limits.values()
        )

    def tightest_limit(self, model: dict) -> Limit:
        """The limit that a file exceeds most, or comes closest to.

        Args:
            model: A record of `report.json`, with `bytes`, `gzip_bytes` and
                `packed_bytes`.
        """
        return max(self.limits.values(), key=lambda limit: limit.excess(model))

    def size(self, model: dict) -> int:
        """The size in bytes that counts: that of the first limit.

        Args:
            model: As for `tightest_limit`.
        """
        return model[next(iter(self.limits.values())).key]

    def breaches(
        self, model: dict, drop: float, test_drop: float | None = None
    ) -> list[str]:
        """Checks a file against the budget.

        Args:
            model: The file's record, as in `report.json`.
            drop: See `accuracy_breaches`.
            test_drop: See `accuracy_breaches`.

        Returns:
            One line for each limit that is exceeded; empty if there is none.
        """
        lines = [
            f"{model[limit.key]:,} bytes{limit.how}, more than "
            f"budget.{name} = {limit.kb}"
            for name, limit in self.limits.items()
            if limit.excess(model) > 0
        ]
        return lines + accuracy_breaches(
            "budget.max_drop", self.max_drop, drop, test_drop
        )

    def shortage(self, model: dict, drop: float) -> float:
        """The objective that a search minimizes.

        One point of accuracy counts as much as 1 % of excess size.

        Args:
            model: The file's record, as in `report.json`.
            drop: As for `breaches`.

        Returns:
            The drop in points, plus the percentage by which the file is too large.
        """
        # Nothing for a smaller file: within the budget, accuracy alone decides.
        excess = self.tightest_limit(model).excess(model)
        return drop + 100 * max(0.0, excess)


def accuracy_breaches(
    option: str, limit: float, drop: float, test_drop: float | None = None
) -> list[str]:
    """Checks a file against the limit of its accuracy on the validation split.

    Args:
        option: Name of the limit's option.
        limit: The limit, in percentage points.
        drop: Points by which the file is below the student on the validation split.
        test_drop: The same on the test split, only for the message; None if unknown.

    Returns:
        One line if the limit is exceeded; else empty.
    """
    if drop <= limit:
        return []
    beside = "" if test_drop is None else f"; on the test split {test_drop:.2f} points"
    return [
        f"accuracy on the validation split is {drop:.2f} points below the student's, "
        f"more than {option} = {limit}{beside}"
    ]


def rank(trial: dict) -> tuple[bool, float, int]:
    """The sort key of trials, best first: within the budget, then accuracy, then size.

    Args:
        trial: A trial, as in `search.json`.
    """
    return not trial["fits"], trial["shortage"], trial["size"]
