"""What the file that ships may cost, and how long a search for it may take."""

import dataclasses
from typing import ClassVar, Literal

from distill.compress import finishers
from distill.runtime.errors import check


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget:
    """A promise about the last file of `finish`; with `trials`, a search for that file.

    Attributes:
        max_kb: Its size at most, in kB of 1000 bytes.
        max_drop: Points (percent of the validation split) that its accuracy may be
            below the model's, at most.
        counts: Whose bytes: of the `file` as it lies on disk; or through `gzip`, as
            it is sent: there alone clusters gain, and zeros in eight bits.
        trials: Short finishes, the best of which is finished at full length; 0 means
            that nothing is searched, and `finish` is made as it stands.
        part: Of its epochs, what a trial trains; one epoch at least.
        among: Names of the finishers to choose from; without any, all that can be
            made of the model.

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
        """Refuses values out of range, and names that are none."""
        check(self.max_kb > 0, "max_kb", "positive", self.max_kb)
        check(self.max_drop >= 0, "max_drop", "at least 0", self.max_drop)
        check(self.trials >= 0, "trials", "at least 0", self.trials)
        check(0 < self.part <= 1, "part", "in (0, 1]", self.part)
        for index, name in enumerate(self.among):
            known = f"one of {', '.join(finishers.FINISHERS)}"
            check(name in finishers.FINISHERS, f"among[{index}]", known, name)

    def size(self, model: dict) -> int:
        """The bytes that count.

        Args:
            model: With `bytes` and `gzip_bytes`, as in `report.json`.
        """
        return model["bytes" if self.counts == "file" else "gzip_bytes"]

    def breaches(
        self, model: dict, drop: float, test_drop: float | None = None
    ) -> list[str]:
        """How a file breaks the budget.

        Args:
            model: As in `report.json`.
            drop: See `too_low`.
            test_drop: Likewise.

        Returns:
            Each broken promise in words; empty if all are kept.
        """
        lines, size = [], self.size(model)
        if size > 1000 * self.max_kb:
            how = " through gzip" if self.counts == "gzip" else ""
            lines.append(
                f"{size:,} bytes{how}, more than budget.max_kb = {self.max_kb}"
            )
        return lines + too_low("budget.max_drop", self.max_drop, drop, test_drop)

    def shortage(self, model: dict, drop: float) -> float:
        """What a search makes small: a point of accuracy is as much as 1 % of size.

        Args:
            model: As in `report.json`.
            drop: As of `breaches`.

        Returns:
            The drop, in points; and, of a file that is too large, by how many
            percent.
        """
        over = self.size(model) / (1000 * self.max_kb) - 1
        return drop + 100 * max(0.0, over)


def too_low(
    option: str, limit: float, drop: float, test_drop: float | None = None
) -> list[str]:
    """How a file breaks the limit on its accuracy, which the validation split decides.

    Args:
        option: Name of the limit.
        limit: In points.
        drop: Points that the file is below the student on the validation split.
        test_drop: The same on the test split, to stand beside it, if it is known.

    Returns:
        The broken promise in words; empty if it is kept.
    """
    if drop <= limit:
        return []
    beside = "" if test_drop is None else f"; on the test split {test_drop:.2f} points"
    return [
        f"accuracy on the validation split is {drop:.2f} points below the student's, "
        f"more than {option} = {limit}{beside}"
    ]


def rank(trial: dict) -> tuple[bool, float, int]:
    """Less is better: what keeps the budget, then accuracy, then size.

    Args:
        trial: As in `search.json`.
    """
    return not trial["fits"], trial["shortage"], trial["size"]
