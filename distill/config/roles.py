"""The networks of a run by their role: teachers, assistants, generator, controls."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from typing import Annotated, ClassVar, Literal

import students
from distill.config import answering
from distill.config import cache as caching
from distill.config.reference import check_hash
from distill.config.stage import Stage
from distill.runtime.errors import check
from gan import conditional, generators
from trainers.generators import acgan

# Files in the run folder are named for their networks.
_RESERVED = re.compile("(teacher|assistant)[0-9]*|student")


def is_reserved(name: str) -> bool:
    """Whether a name is reserved for teachers, assistants or the student."""
    return _RESERVED.fullmatch(name) is not None


def _no(*names):
    """A condition of `only_with`: that all of these are absent."""
    return " and ".join(f"no {name}" for name in names)


def _others(form):
    return [name for name in ("file", *answering.FORMS) if name != form]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Teacher:
    """The network that is imitated: trained once and saved, or given as a file.

    Attributes:
        network: The network to train; see `students.BUILDERS`.
        stages: The stages of its training, in order.
        file: A trained `.keras` model that follows the contract of `students` or,
            with `sections`, any functional model.
        sha256: SHA-256 hash of the teacher's file; another file is refused.
        answers: A `.npz` file with the teacher's answers; docs/teachers.md has the
            names of its arrays. This and the next five forms of a teacher are asked
            once, and only answer.
        onnx: An ONNX model; needs `pip install -e '.[onnx]'`.
        tflite: A `.tflite` file.
        saved_model: A folder with a TensorFlow SavedModel.
        python: Your own function from a batch of images to logits, such as
            `my_teacher.py:answer`; needs `--allow-python`.
        hub: A classifier of keras-hub with its own tokenizer or preprocessing: a folder
            that `save_to_preset` has made, the name of a preset, or
            `kaggle://OWNER/MODEL/keras/VARIATION`, which is downloaded; needs
            `pip install -e '.[hub]'`.
        input: What the teacher wants in place of images in [0, 1].
        class_names: The teacher's classes in the order of its logits, if that is not
            the order of the data's; it may have more.
        sections: Where a model that does not follow the contract is cut; see
            `students.KerasModel`. To continue training of such a file, give it as the
            `network` named `keras_file`.
        cache: Saves the teachers' outputs and reuses them: `true`, or options; see
            `cache.Cache`. Absent, the teachers compute them in each step.
    """

    only_with: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("network", "stages"), _no("file", *answering.FORMS)),
        **{form: _no("network", *_others(form)) for form in ("file", *answering.FORMS)},
        "sha256": "file or answers or onnx or tflite",
        "sections": "file",
        "input": " or ".join(answering.BARE),
        "class_names": " or ".join(answering.FORMS),
    }
    omitted_when_absent: ClassVar[tuple[str, ...]] = (
        *answering.FORMS,
        "input",
        "class_names",
    )

    network: Annotated[students.Network | None, students.BUILDERS] = None
    stages: tuple[Stage, ...] = ()
    file: str | None = None
    sha256: str | None = None
    sections: tuple[str, ...] | Literal["auto"] | None = None
    answers: str | None = None
    onnx: str | None = None
    tflite: str | None = None
    saved_model: str | None = None
    python: str | None = None
    hub: str | None = None
    input: answering.Input | None = None
    class_names: tuple[str, ...] | None = None
    cache: caching.Cache | None = None

    def __post_init__(self):
        """Refuses several forms or none, and options of another form."""
        forms = [
            name
            for name in ("file", *answering.FORMS)
            if getattr(self, name) is not None
        ]
        if not forms:
            rule = "given, or else `file` or another form of a teacher"
            check(self.network is not None, "network", rule, None)
            check(len(self.stages) >= 1, "stages", "a list of at least one", [])
            # `only_with` lets a later `file` drop the `network` of a base config; the
            # checks here refuse both in one place, and hold for teachers that a program
            # builds.
            for name in ("sha256", "sections", "input", "class_names"):
                value = getattr(self, name)
                check(value is None, name, "absent without `file`", value)
            return
        form, *more = forms
        check(not more, form, f"the only form of the teacher, or `{form}` absent", more)
        check(self.network is None, "network", f"absent beside `{form}`", "a network")
        check(not self.stages, "stages", f"absent beside `{form}`", "a list")
        self._check_file(form)

    def _check_file(self, form):
        check_hash(self.sha256)
        if form == "python":
            return  # A function of a file, which is looked for when it is loaded.
        if self.hub is not None:
            answering.check_preset(self.hub)
            return
        kind = "folder" if form == "saved_model" else "file"
        path = pathlib.Path(getattr(self, form)).expanduser()
        # A folder as `file` is refused where files are searched, with what to do.
        there = path.is_file() or (form in ("file", "saved_model") and path.is_dir())
        check(there, form, f"a {kind} that exists", getattr(self, form))


@dataclasses.dataclass(frozen=True, kw_only=True)
class CoTeacher(Teacher):
    """A further teacher, whose logits are imitated too.

    Attributes:
        weight: Weight of the loss of imitating it; the first teacher's weight is 1.
    """

    only_with: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("network", "stages"), "no file"),
        "file": "no network",
        "sha256": "file",
    }
    # Options of `Teacher` that are always refused, and so not explained.
    refused: ClassVar[tuple[str, ...]] = (
        *answering.FORMS,
        "input",
        "class_names",
        "cache",
    )

    weight: float = 1.0

    def __post_init__(self):
        """Refuses weights that are not positive, a cache, and one that only answers."""
        super().__post_init__()
        check(self.weight > 0, "weight", "positive", self.weight)
        rule = "absent: that of `teacher` is used for all teachers"
        # Options of `Teacher`, from which this class inherits.
        check(self.cache is None, "cache", rule, self.cache)
        if form := answering.form_of(self):
            rule = "absent: a co-teacher is a network, which answers in each step"
            check(False, form, rule, getattr(self, form))

    @property
    def teacher(self) -> Teacher:
        """The same teacher without its weight."""
        names = (field.name for field in dataclasses.fields(Teacher))
        return Teacher(**{name: getattr(self, name) for name in names})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assistant:
    """A network between teacher and student: learns from the one, teaches the other.

    Attributes:
        network: The assistant, usually of a size in between; see `students.BUILDERS`.
        stages: The stages of its training, in order, as for the student.

    Source:
        Mirzadeh et al., "Improved Knowledge Distillation via Teacher Assistant",
        AAAI 2020, section 4. https://arxiv.org/abs/1902.03393
    """

    network: Annotated[students.Network, students.BUILDERS]
    stages: tuple[Stage, ...]

    def __post_init__(self):
        """Refuses an assistant without stages."""
        check(len(self.stages) >= 1, "stages", "a list of at least one", [])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generator:
    """A GAN that makes synthetic training examples: trained once and saved.

    Attributes:
        network: The generator; see `gan.generators.GENERATORS`.
        discriminator: The discriminator; see `gan.conditional.DISCRIMINATORS`.
        training: How the two are trained.
        epochs: Number of passes over the training examples.
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
    """The same student trained in another way, for comparison.

    Attributes:
        name: Its name in the report, and the name of its file.
        stages: The stages of its training, in order: in total as many epochs as the
            student, or as many updates.
        skips_assistants: Whether it learns from the teacher itself instead of the last
            of the `assistants`.
    """

    name: str = "control"
    stages: tuple[Stage, ...]
    skips_assistants: bool = False

    def __post_init__(self):
        """Refuses names that are reserved or not valid as file names."""
        check(
            self.name.isidentifier() and not is_reserved(self.name),
            "name",
            "letters, digits and _, and neither teacher nor student nor assistant",
            self.name,
        )
