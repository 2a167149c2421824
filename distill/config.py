"""What a run is: a tree of frozen dataclasses, read from YAML.

Every option has one home, the dataclass that uses it: default, meaning, type
and range. Nothing here imports Keras or TensorFlow, so a whole run is checked
within a second.
"""

import dataclasses
import difflib
import pathlib
import re
import sysconfig
import typing
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import yaml

import students
import trainers
from distill import batches, chain, data, kinds, schema, yaml_tree
from distill import finish as finishers  # `finish` is a field of a run.
from distill import synthetic as sources  # So is `synthetic`, of a stage.
from distill.yaml_tree import ConfigError
from gan import conditional, generators
from trainers import acgan

Tree = TypeVar("Tree")

CONFIGS = (
    pathlib.Path(__file__).resolve().parents[1] / "configs",
    pathlib.Path(sysconfig.get_path("data")) / "share" / "distill" / "configs",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """One stretch of training with one trainer and one optimizer.

    Attributes:
        trainer: The method; see `trainers.TRAINERS`.
        epochs: Times that every training example is seen.
        learning_rate: Of the first step.
        schedule: `constant`; `cosine`, down to zero at the last step; or
            `step`, multiplied by `decay_factor` at each of `decay_epochs`.
        decay_epochs: Where `step` multiplies; increasing.
        decay_factor: Between 0 and 1.
        optimizer: `sgd` (Nesterov) or `adam`.
        momentum: Of SGD.
        clip_norm: Length that a gradient, over all of the student's weights, is
            cut down to; absent, none is.
        task_weight: Multiplies the loss on the true labels.
        synthetic: Made examples, which the teacher labels; see
            `distill.synthetic.SOURCES`.
    """

    trainer: Annotated[trainers.Supervised, trainers.TRAINERS]
    epochs: int
    learning_rate: float = 0.1
    schedule: Literal["constant", "cosine", "step"] = "cosine"
    decay_epochs: tuple[int, ...] = ()
    decay_factor: float = 0.1
    optimizer: Literal["sgd", "adam"] = "sgd"
    momentum: float = 0.9
    clip_norm: float | None = None
    task_weight: float = 1.0
    synthetic: Annotated[sources.Synthetic | None, sources.SOURCES] = None

    def __post_init__(self):
        """Refuses values out of range."""
        _check(self.epochs >= 1, "epochs", "at least 1", self.epochs)
        _check(self.learning_rate > 0, "learning_rate", "positive", self.learning_rate)
        _check(0 <= self.momentum < 1, "momentum", "in [0, 1)", self.momentum)
        _check(
            self.clip_norm is None or self.clip_norm > 0,
            "clip_norm",
            "positive, or absent",
            self.clip_norm,
        )
        _check(self.task_weight >= 0, "task_weight", "at least 0", self.task_weight)
        factor = self.decay_factor
        _check(0 < factor < 1, "decay_factor", "between 0 and 1", factor)
        rising = sorted(set(self.decay_epochs)) == list(self.decay_epochs)
        inside = all(0 < epoch < self.epochs for epoch in self.decay_epochs)
        _check(
            rising and inside,
            "decay_epochs",
            f"increasing, between 0 and `epochs` = {self.epochs}",
            list(self.decay_epochs),
        )
        _check(
            bool(self.decay_epochs) == (self.schedule == "step"),
            "decay_epochs",
            "given with `schedule: step`, and only then",
            list(self.decay_epochs),
        )
        _check(
            self.synthetic is None or self.trainer.needs_teacher,
            "synthetic",
            "absent without a trainer that asks a teacher, who alone can label it",
            self.synthetic,
        )
        _check(
            self.trainer.end_to_end or not self.task_weight,
            "task_weight",
            f"0 with `{self.name}`, whose steps have no answer to compare with a label",
            self.task_weight,
        )

    @property
    def name(self) -> str:
        """The trainer's name in `trainers.TRAINERS`."""
        return name_of(self.trainer)


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
    """

    network: Annotated[students.Network | None, students.BUILDERS] = None
    stages: tuple[Stage, ...] = ()
    file: str | None = None
    sha256: str | None = None
    sections: tuple[str, ...] | Literal["auto"] | None = None

    def __post_init__(self):
        """Refuses anything but one of the two ways, whole."""
        if self.file is None:
            _check(self.network is not None, "network", "given, or else `file`", None)
            _check(len(self.stages) >= 1, "stages", "a list of at least one", [])
            for name in ("sha256", "sections"):
                given = getattr(self, name)
                _check(given is None, name, "absent without `file`", given)
            return
        _check(self.network is None, "network", "absent beside `file`", "a network")
        _check(not self.stages, "stages", "absent beside `file`", "a list")
        path = pathlib.Path(self.file).expanduser()
        _check(path.exists(), "file", "a file that exists", self.file)
        digits = self.sha256 is None or re.fullmatch("[0-9a-fA-F]{64}", self.sha256)
        _check(digits, "sha256", "64 hexadecimal digits", self.sha256)


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
        _check(self.weight > 0, "weight", "positive", self.weight)

    @property
    def teacher(self) -> Teacher:
        """It alone, without a weight."""
        names = (field.name for field in dataclasses.fields(Teacher))
        return Teacher(**{name: getattr(self, name) for name in names})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assistant:
    """A network between teacher and student: learns from the one, teaches the other.

    Attributes:
        network: See `students.BUILDERS`.
        stages: How it is trained, as the student's.

    Source:
        Mirzadeh et al., "Improved Knowledge Distillation via Teacher Assistant",
        AAAI 2020, section 4. https://arxiv.org/abs/1902.03393
    """

    network: Annotated[students.Network, students.BUILDERS]
    stages: tuple[Stage, ...]

    def __post_init__(self):
        """Refuses an assistant that learns nothing."""
        _check(len(self.stages) >= 1, "stages", "a list of at least one", [])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generator:
    """Who makes examples for the stages that want them: trained once and kept.

    Attributes:
        network: See `gan.generators.GENERATORS`.
        discriminator: See `gan.conditional.DISCRIMINATORS`.
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
        _check(self.epochs >= 1, "epochs", "at least 1", self.epochs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Control:
    """The same student taught another way, to compare with.

    Attributes:
        name: Its name in the report, and of its file.
        stages: How it is trained: as many epochs as the student in all.
        skips_assistants: Whether it learns from the teacher itself, not from the
            last of the `assistants`.
    """

    name: str = "control"
    stages: tuple[Stage, ...]
    skips_assistants: bool = False

    def __post_init__(self):
        """Refuses names that are taken or no file names."""
        _check(
            self.name.isidentifier() and not chain.is_reserved(self.name),
            "name",
            "letters, digits and _, and neither teacher nor student nor assistant",
            self.name,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that decides the outcome of `python -m distill.train`.

    Attributes:
        data: See `distill.data.DATASETS`.
        augmentation: Random changes to training images.
        batch_size: Images in a step.
        seed: Decides initial weights, order and augmentation.
        teacher: Who is imitated, and asked for agreement, in finishing too.
        co_teachers: Whose answers are imitated beside the teacher's, by methods
            that can; representations are the teacher's own.
        assistants: Who stand between teacher and student, in order: the first
            learns from the teachers, the student from the last.
        generator: Who makes examples for `synthetic: {name: gan}`.
        student: What is trained and shipped; see `students.BUILDERS`.
        stages: How the student is trained, in order.
        controls: The same student taught otherwise.
        finish: What is made of the trained student; see
            `distill.finish.FINISHERS`.
        max_accuracy_drop: A file whose test accuracy is more than this many
            points (percent of the test split) below the student's has failed.
    """

    data: Annotated[data.Dataset, data.DATASETS]
    augmentation: batches.Augmentation = batches.Augmentation()
    batch_size: int = 128
    seed: int = 0
    teacher: Teacher
    co_teachers: tuple[CoTeacher, ...] = ()
    assistants: tuple[Assistant, ...] = ()
    generator: Generator | None = None
    student: Annotated[students.Network, students.BUILDERS]
    stages: tuple[Stage, ...]
    controls: tuple[Control, ...] = ()
    finish: tuple[Annotated[finishers.Finisher, finishers.FINISHERS], ...] = ()
    max_accuracy_drop: float = 1.0

    def __post_init__(self):
        """Refuses parts that do not fit each other."""
        check_common(self)
        _check(len(self.stages) >= 1, "stages", "a list of at least one", [])
        self._check_teachers()
        self._check_controls()
        self._check_generator()
        chain.check_shapes(self)

    def _check_teachers(self):
        teachers = {f"co_teachers[{i}]": t for i, t in enumerate(self.co_teachers)}
        for where, teacher in {"teacher": self.teacher, **teachers}.items():
            for index, stage in enumerate(teacher.stages):
                _check(
                    not stage.trainer.needs_teacher,
                    f"{where}.stages[{index}].trainer",
                    "one that needs no teacher, such as supervised",
                    stage.name,
                )
        chain.check(self)

    def _check_controls(self):
        names = [control.name for control in self.controls]
        skipping = [part.name for part in self.controls if part.skips_assistants]
        _check(
            self.assistants or not skipping,
            "controls",
            "without `skips_assistants` where there are no `assistants`",
            skipping,
        )
        _check(len(set(names)) == len(names), "controls", "of different names", names)
        epochs = sum(stage.epochs for stage in self.stages)
        for index, control in enumerate(self.controls):
            spent = sum(stage.epochs for stage in control.stages)
            _check(
                spent == epochs,
                f"controls[{index}].stages",
                f"as many epochs as the student's stages, {epochs}: else the two "
                "cannot be compared",
                spent,
            )

    @property
    def uses_generator(self) -> bool:
        """Whether any stage wants examples of the generator."""
        learners = [lesson.stages for lesson in chain.lessons(self)]
        wanted = [stage.synthetic for stages in learners for stage in stages]
        return any(part is not None and part.needs_generator for part in wanted)

    def _check_generator(self):
        _check(
            self.generator is not None or not self.uses_generator,
            "generator",
            "given for `synthetic: {name: gan}`",
            None,
        )
        if self.generator is None:
            return
        for name in ("network", "discriminator"):
            try:
                getattr(self.generator, name).check_shape(self.data.input_shape)
            except ValueError as mistake:
                raise ValueError(f"`generator.{name}`: {mistake}") from None


def check_common(run: Any) -> None:
    """Refuses what no run can have: of numbers, augmentation and finishers.

    Args:
        run: A `Run`, or another config with these fields.

    Raises:
        ValueError: Names the option.
    """
    _check(run.batch_size >= 1, "batch_size", "at least 1", run.batch_size)
    _check(run.seed >= 0, "seed", "at least 0", run.seed)
    _check(
        run.max_accuracy_drop >= 0,
        "max_accuracy_drop",
        "at least 0",
        run.max_accuracy_drop,
    )
    kinds.check(run)
    size = min(run.data.input_shape[:2])
    _check(
        run.augmentation.shift < size,
        "augmentation.shift",
        f"less than the images' {size} pixels",
        run.augmentation.shift,
    )
    names = [name_of(part) for part in run.finish]
    _check(len(set(names)) == len(names), "finish", "of different names", names)
    for index, part in enumerate(run.finish):
        for needed in part.needs:
            _check(
                needed in names[:index],
                f"finish[{index}]",
                f"after `{needed}`, from which `{names[index]}` starts",
                names,
            )


def load(path: str | pathlib.Path, overrides: Sequence[str] = ()) -> Run:
    """Reads a run; see `read`."""
    return read(Run, path, overrides)


def read(
    kind: type[Tree], path: str | pathlib.Path, overrides: Sequence[str] = ()
) -> Tree:
    """Reads a config. A bare file name is looked up among the shipped ones too.

    Args:
        kind: The frozen dataclass that the whole file fills, such as `Run`.
        path: For example `lit_resnet.yaml` or `path/to/mine.yaml`.
        overrides: Assignments such as `stages.0.epochs=3`, applied in order,
            those of a part's `name` first.

    Returns:
        An instance of `kind`, with every default filled in.

    Raises:
        ConfigError: One line: file, line, key, what was received and expected.
    """
    naming = [text for text in overrides if text.split("=")[0].endswith(".name")]
    others = [text for text in overrides if text not in naming]
    try:
        node = yaml_tree.read(find(path), lambda base, user: find(base, user.parent))
        for text in [*naming, *others]:
            node = yaml_tree.override(node, text)
        return schema.fill(kind, node)
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply to be a config") from None


def find(
    path: str | pathlib.Path, beside: pathlib.Path = pathlib.Path()
) -> pathlib.Path:
    """The file that a config's name means.

    Args:
        path: A path, or the bare name of a shipped config.
        beside: The folder that a relative path starts from.

    Raises:
        ConfigError: If there is no such file; lists the shipped ones.
    """
    for candidate in (beside / path, *(folder / path for folder in CONFIGS)):
        if candidate.is_file():
            return candidate
    shipped = sorted(
        {file.name for folder in CONFIGS for file in folder.glob("*.yaml")}
    )
    close = difflib.get_close_matches(str(path), shipped, n=1)
    hint = f" Did you mean `{close[0]}`?" if close else ""
    raise ConfigError(
        f"{path}: no such file, nor a shipped config.{hint} "
        f"Shipped: {', '.join(shipped)}"
    )


def plain(value: Any, kind: Any = None) -> Any:
    """A config, or any piece of one, as plain data with every default filled in.

    Args:
        value: What is written out.
        kind: How the field that holds it is declared; a whole dataclass needs none.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if value is None:
        return None
    if isinstance(value, tuple):
        return [plain(item, arguments[0]) for item in value]
    if type(None) in arguments:
        return plain(value, arguments[0])
    if origin is Annotated:
        name = name_in(arguments[1], value)
        return {"name": name, "options": plain(value)}
    if not dataclasses.is_dataclass(value):
        return value
    hints = typing.get_type_hints(type(value), include_extras=True)
    return {
        field.name: plain(getattr(value, field.name), hints[field.name])
        for field in dataclasses.fields(value)
    }


def dump(tree: Any) -> str:
    """A config as YAML that `read` reads back to an equal one."""
    return yaml.safe_dump(plain(tree), sort_keys=False)


def name_of(part: Any) -> str:
    """The name of a part, as it stands in YAML."""
    tables = (
        students.BUILDERS,
        trainers.TRAINERS,
        data.DATASETS,
        finishers.FINISHERS,
        generators.GENERATORS,
        conditional.DISCRIMINATORS,
        sources.SOURCES,
    )
    names = {kind: name for table in tables for name, kind in table.items()}
    return names[type(part)]


def name_in(table: dict[str, Any], part: Any) -> str:
    """The name of a part in the table of its kind."""
    return next(name for name, kind in table.items() if kind is type(part))


def _check(condition, name, rule, value):
    if not condition:
        raise ValueError(f"`{name}` must be {rule}. Received: {value!r}")
