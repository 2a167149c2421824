"""The limits of the final file's size and accuracy, and of the search for it."""

import dataclasses
from typing import ClassVar, Literal

from distill.compress import finishers
from distill.runtime.errors import check


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget:
    """Limits of the last file of `finish`; with `trials`, a search for that file.

    Attributes:
        max_kb: Maximum size in kB of 1000 bytes.
        max_drop: Maximum loss of accuracy against the model, in percentage points on
            the validation split.
        counts: Which bytes count: those of the `file` on disk; or those after `gzip`,
            as in a download. Clusters, and zeros in eight bits, gain only there.
        trials: Number of short trials, the best of which is then finished at full
            length; 0 means no search, and `finish` is made as it is.
        part: Share of the epochs that a trial trains; at least one epoch.
        among: Names of the finishers to choose from; if empty, all that the model
            supports.

    Raises:
        ValueError: If an option is out of its range.
    """

    only_with: ClassVar[dict[str, str]] = {"part": "trials", "among": "trials"}

    max_kb: float
    max_drop: float = 1.0
    counts: Literal["file", "gzip"] = "file"
    trials: int = 24
    part: float = 0.2
    among: tuple[str, ...] = ()

    def __post_init__(self):
        """Refuses values out of range and unknown names."""
        check(self.max_kb > 0, "max_kb", "positive", self.max_kb)
        check(self.max_drop >= 0, "max_drop", "at least 0", self.max_drop)
        check(self.trials >= 0, "trials", "at least 0", self.trials)
        check(0 < self.part <= 1, "part", "in (0, 1]", self.part)
        for index, name in enumerate(self.among):
            known = f"one of {', '.join(finishers.FINISHERS)}"
            check(name in finishers.FINISHERS, f"among[{index}]", known, name)

    def size(self, model: dict) -> int:
        """The size in bytes that counts.

        Args:
            model: A record of `report.json`, with `bytes` and `gzip_bytes`.
        """
        return model["bytes" if self.counts == "file" else "gzip_bytes"]

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
        lines, size = [], self.size(model)
        if size > 1000 * self.max_kb:
            how = " through gzip" if self.counts == "gzip" else ""
            lines.append(
                f"{size:,} bytes{how}, more than budget.max_kb = {self.max_kb}"
            )
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
        over = self.size(model) / (1000 * self.max_kb) - 1
        return drop + 100 * max(0.0, over)


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
