"""The limits of the final file's size and accuracy, and of the search for it."""

import dataclasses
from typing import ClassVar, Literal

from distill.compress import finishers
from distill.runtime.errors import check


@dataclasses.dataclass(frozen=True)
class Limit:
    """A limit of one of a file's costs.

    Attributes:
        value: The option's value.
        key: Key of the cost in a model of `report.json`.
        what: What is counted, for messages: after a number.
        unit: How many of what is counted one of `value` is.
    """

    value: float
    key: str
    what: str
    unit: int = 1000

    def excess(self, model: dict) -> float:
        """The share of the limit by which a file costs more; negative if less.

        Args:
            model: The file's record, as in `report.json`. A cost that is None is
                not known: it exceeds nothing.
        """
        return (model[self.key] or 0) / (self.unit * self.value) - 1

    def __str__(self):
        """The limit in words, such as `60.0 kB packed`."""
        if self.unit == 1:
            return f"{self.value:,} {self.what}"
        return f"{self.value} {self.what.replace('bytes', 'kB')}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of the last file of `finish`.

    At least one of `max_kb`, `max_packed_kb`, `max_arena_kb` and `max_macs` is
    required; all that are given hold.

    Attributes:
        max_kb: Maximum size in kB of 1000 bytes.
        max_packed_kb: Maximum size of the packed file in kB of 1000 bytes: what
            `python -m distill.pack` makes for transfer and storage, which does not run.
        max_arena_kb: Maximum size of the arena in kB of 1000 bytes: the memory that
            TFLite Micro needs beside the file, as measured on this machine. It needs
            `target: micro`.
        max_macs: Maximum number of multiply-accumulates for one input.
        max_drop: Maximum loss of accuracy against the model, in percentage points on
            the validation split.
        counts: Which bytes `max_kb` limits: those of the `file` on disk; or those after
            `gzip`. Clusters, and zeros in eight bits, gain only there and packed.

    Raises:
        ValueError: If an option is out of its range.
    """

    only_with: ClassVar[dict[str, str]] = {"counts": "max_kb"}
    omitted_when_absent: ClassVar[tuple[str, ...]] = ("max_arena_kb", "max_macs")

    max_kb: float | None = None
    max_packed_kb: float | None = None
    max_arena_kb: float | None = None
    max_macs: int | None = None
    max_drop: float = 1.0
    counts: Literal["file", "gzip"] = "file"

    def __post_init__(self):
        """Refuses values out of range."""
        others = "`max_packed_kb`, `max_arena_kb` or `max_macs`"
        check(self.limits, "max_kb", f"given, or {others}", self.max_kb)
        for name, limit in self.limits.items():
            check(limit.value > 0, name, "positive", limit.value)
        check(self.max_drop >= 0, "max_drop", "at least 0", self.max_drop)

    @property
    def limits(self) -> dict[str, Limit]:
        """Name of each option that limits a cost to its limit."""
        key, what = {
            "file": ("bytes", "bytes"),
            "gzip": ("gzip_bytes", "bytes through gzip"),
        }[self.counts]
        every = {
            "max_kb": (self.max_kb, key, what),
            "max_packed_kb": (self.max_packed_kb, "packed_bytes", "bytes packed"),
            "max_arena_kb": (self.max_arena_kb, "arena_bytes", "bytes of arena"),
            "max_macs": (self.max_macs, "macs", "multiply-accumulates", 1),
        }
        return {
            name: Limit(value, *rest)
            for name, (value, *rest) in every.items()
            if value is not None
        }

    @property
    def allowed(self) -> str:
        """The allowed costs in words."""
        return " and ".join(map(str, self.limits.values()))

    def tightest_limit(self, model: dict) -> Limit:
        """The limit that a file exceeds most, or comes closest to.

        Args:
            model: A record of `report.json`, with the costs that are limited.
        """
        return max(self.limits.values(), key=lambda limit: limit.excess(model))

    def size(self, model: dict) -> int:
        """The size in bytes that counts: that of the first limit of a file's size.

        Args:
            model: As for `tightest_limit`, with `bytes`.
        """
        sizes = [self.limits.get(name) for name in ("max_kb", "max_packed_kb")]
        return model[next((limit.key for limit in sizes if limit), "bytes")]

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
            f"{model[limit.key]:,} {limit.what}, more than budget.{name} = "
            f"{limit.value}"
            for name, limit in self.limits.items()
            if limit.excess(model) > 0
        ]
        if self.max_macs is not None and model.get("uncounted"):
            lines.append(
                f"the multiply-accumulates of {', '.join(model['uncounted'])} are not "
                f"known: the file may need more than budget.max_macs = {self.max_macs}"
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
        excess = self.tightest_limit(model).excess(model)
        return drop + 100 * max(0.0, excess)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget(Limits):
    """Limits of the last file of `finish`; with `trials`, a search for that file.

    At least one of `max_kb`, `max_packed_kb`, `max_arena_kb` and `max_macs` is
    required; all that are given hold.

    Attributes:
        trials: Number of short trials, the best of which is then finished at full
            length; 0 means no search, and `finish` is made as it is.
        part: Share of the epochs that a trial trains; at least one epoch.
        among: Names of the finishers to choose from; if empty, all that the model
            supports and that need no further package.

    Raises:
        ValueError: If an option is out of its range.
    """

    only_with: ClassVar[dict[str, str]] = {"part": "trials", "among": "trials"}

    trials: int = 24
    part: float = 0.2
    among: tuple[str, ...] = ()

    def __post_init__(self):
        """Refuses values out of range and unknown names."""
        super().__post_init__()
        check(self.trials >= 0, "trials", "at least 0", self.trials)
        check(0 < self.part <= 1, "part", "in (0, 1]", self.part)
        for index, name in enumerate(self.among):
            known = f"one of {', '.join(finishers.FINISHERS)}"
            check(name in finishers.FINISHERS, f"among[{index}]", known, name)


def accuracy_breaches(
    option: str,
    limit: float,
    drop: float,
    test_drop: float | None = None,
    word: str = "accuracy",
) -> list[str]:
    """Checks a file against the limit of its accuracy on the validation split.

    Args:
        option: Name of the limit's option.
        limit: The limit, in percentage points.
        drop: Points by which the file is below the student on the validation split.
        test_drop: The same on the test split, only for the message; None if unknown.
        word: What is compared.

    Returns:
        One line if the limit is exceeded; else empty.
    """
    if drop <= limit:
        return []
    beside = "" if test_drop is None else f"; on the test split {test_drop:.2f} points"
    return [
        f"{word} on the validation split is {drop:.2f} points below the student's, "
        f"more than {option} = {limit}{beside}"
    ]


def rank(trial: dict) -> tuple[bool, float, int]:
    """The sort key of trials, best first: within the budget, then accuracy, then size.

    Args:
        trial: A trial, as in `search.json`.
    """
    return not trial["fits"], trial["shortage"], trial["size"]
