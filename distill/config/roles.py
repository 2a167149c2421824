"""The pieces of a run: stages, and the networks that go through them."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from typing import Annotated, ClassVar, Literal

import students
from distill.config import cache as keeping
from distill.config.stage import Stage
from distill.runtime.errors import check
from gan import conditional, generators
from trainers.generators import acgan

_RESERVED = re.compile("(teacher|assistant)[0-9]*|student")


def is_reserved(name: str) -> bool:
    """Whether a teacher, an assistant or the student has or may have this name."""
    return _RESERVED.fullmatch(name) is not None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Teacher:
    """The network that is imitated: trained once and kept, or given as a file.

    Attributes:
        network: What to train; see `students.BUILDERS`.
        stages: How it is trained.
        file: A trained `.keras` model: under the contract of `students`, or, with
            `sections`, any functional one.
        sha256: What the bytes of `file` must hash to; pins it.
        sections: Where a file that is not under the contract is cut; see
            `students.KerasModel`. To train such a file further, give it as the
            `network` named `keras_file`.
        cache: Whether what teachers say of the examples is kept and replayed, and how:
            `true`, or options; see `cache.Cache`. Absent, they are asked in each
            step.
    """

    only_with: ClassVar[dict[str, str]] = {
        "network": "no file",
        "stages": "no file",
        "file": "no network",
        "sha256": "file",
        "sections": "file",
    }

    network: Annotated[students.Network | None, students.BUILDERS] = None
    stages: tuple[Stage, ...] = ()
    file: str | None = None
    sha256: str | None = None
    sections: tuple[str, ...] | Literal["auto"] | None = None
    cache: keeping.Cache | None = None

    def __post_init__(self):
        """Refuses anything but one of the two ways, whole."""
        if self.file is None:
            check(self.network is not None, "network", "given, or else `file`", None)
            check(len(self.stages) >= 1, "stages", "a list of at least one", [])
            for name in ("sha256", "sections"):
                given = getattr(self, name)
                check(given is None, name, "absent without `file`", given)
            return
        check(self.network is None, "network", "absent beside `file`", "a network")
        check(not self.stages, "stages", "absent beside `file`", "a list")
        path = pathlib.Path(self.file).expanduser()
        check(path.exists(), "file", "a file that exists", self.file)
        digits = self.sha256 is None or re.fullmatch("[0-9a-fA-F]{64}", self.sha256)
        check(digits, "sha256", "64 hexadecimal digits", self.sha256)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CoTeacher(Teacher):
    """A teacher beside the first: its answers are imitated too.

    Attributes:
        weight: Multiplies the loss of imitating it; that of the first teacher
            counts once.
    """

    weight: float = 1.0

    def __post_init__(self):
        """Refuses a weight without a meaning."""
        super().__post_init__()
        check(self.weight > 0, "weight", "positive", self.weight)
        where = "absent: that of `teacher` is for the answers of all"
        check(self.cache is None, "cache", where, self.cache)

    @property
    def teacher(self) -> Teacher:
        """It alone, without a weight."""
        names = (field.name for field in dataclasses.fields(Teacher))
        return Teacher(**{name: getattr(self, name) for name in names})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assistant:
    """A network between teacher and student: learns from the one, teaches the other.

    Attributes:
        network: What stands between; see `students.BUILDERS`.
        stages: How it is trained, as the student's.

    Source:
        Mirzadeh et al., "Improved Knowledge Distillation via Teacher Assistant",
        AAAI 2020, section 4. https://arxiv.org/abs/1902.03393
    """

    network: Annotated[students.Network, students.BUILDERS]
    stages: tuple[Stage, ...]

    def __post_init__(self):
        """Refuses an assistant that learns nothing."""
        check(len(self.stages) >= 1, "stages", "a list of at least one", [])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generator:
    """Who makes examples for the stages that want them: trained once and kept.

    Attributes:
        network: What makes them; see `gan.generators.GENERATORS`.
        discriminator: What judges them; see `gan.conditional.DISCRIMINATORS`.
        training: How the two are trained.
        epochs: Times that every training example is seen.
    """

    takes: ClassVar[tuple[str, ...]] = ("images",)

    network: Annotated[generators.Generator, generators.GENERATORS]
    discriminator: Annotated[conditional.Classifier, conditional.DISCRIMINATORS]
    training: acgan.ACGAN = acgan.ACGAN()
    epochs: int

    def __post_init__(self):
        """Refuses values out of range."""
        check(self.epochs >= 1, "epochs", "at least 1", self.epochs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Control:
    """The same student taught another way, to compare with.

    Attributes:
        name: Its name in the report, and of its file.
        stages: How it is trained: as many epochs as the student in all, or as many
            updates.
        skips_assistants: Whether it learns from the teacher itself, not from the
            last of the `assistants`.
    """

    name: str = "control"
    stages: tuple[Stage, ...]
    skips_assistants: bool = False

    def __post_init__(self):
        """Refuses names that are taken or no file names."""
        check(
            self.name.isidentifier() and not is_reserved(self.name),
            "name",
            "letters, digits and _, and neither teacher nor student nor assistant",
            self.name,
        )
