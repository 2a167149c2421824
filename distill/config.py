"""What a run is: a tree of frozen dataclasses, read from YAML.

Every option has one home, the dataclass that uses it: default, meaning, type
and range. Nothing here imports Keras or TensorFlow, so a whole run is checked
within a second.
"""

import dataclasses
import difflib
import pathlib
import sysconfig
import typing
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import yaml

import students
import trainers
from distill import cache, chain, data, kinds, plan, schema, yaml_tree
from distill import finish as finishers
from distill import hardware as machines
from distill.data.augmentation import Augmentation
from distill.data.synthetic import sources
from distill.runtime.errors import ConfigError, check
from gan import conditional, generators

Tree = TypeVar("Tree")

CONFIGS = (
    pathlib.Path(__file__).resolve().parents[1] / "configs",
    pathlib.Path(sysconfig.get_path("data")) / "share" / "distill" / "configs",
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
        hardware: What all of it computes with.
    """

    data: Annotated[data.Dataset, data.DATASETS]
    augmentation: Augmentation = Augmentation()
    batch_size: int = 128
    seed: int = 0
    teacher: plan.Teacher
    co_teachers: tuple[plan.CoTeacher, ...] = ()
    assistants: tuple[plan.Assistant, ...] = ()
    generator: plan.Generator | None = None
    student: Annotated[students.Network, students.BUILDERS]
    stages: tuple[plan.Stage, ...]
    controls: tuple[plan.Control, ...] = ()
    finish: tuple[Annotated[finishers.Finisher, finishers.FINISHERS], ...] = ()
    max_accuracy_drop: float = 1.0
    hardware: machines.Hardware = machines.Hardware()

    def __post_init__(self):
        """Refuses parts that do not fit each other."""
        check_common(self)
        check(len(self.stages) >= 1, "stages", "a list of at least one", [])
        self._check_teachers()
        self._check_controls()
        self._check_generator()
        chain.check_shapes(self)
        cache.check_run(self)

    def _check_teachers(self):
        teachers = {f"co_teachers[{i}]": t for i, t in enumerate(self.co_teachers)}
        for where, teacher in {"teacher": self.teacher, **teachers}.items():
            for index, stage in enumerate(teacher.stages):
                check(
                    not stage.trainer.needs_teacher,
                    f"{where}.stages[{index}].trainer",
                    "one that needs no teacher, such as supervised",
                    stage.name,
                )
        chain.check(self)

    def _check_controls(self):
        names = [control.name for control in self.controls]
        skipping = [part.name for part in self.controls if part.skips_assistants]
        check(
            self.assistants or not skipping,
            "controls",
            "without `skips_assistants` where there are no `assistants`",
            skipping,
        )
        check(len(set(names)) == len(names), "controls", "of different names", names)
        epochs = sum(stage.epochs for stage in self.stages)
        for index, control in enumerate(self.controls):
            spent = sum(stage.epochs for stage in control.stages)
            check(
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
        check(
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
    check(run.batch_size >= 1, "batch_size", "at least 1", run.batch_size)
    check(run.seed >= 0, "seed", "at least 0", run.seed)
    check(
        run.max_accuracy_drop >= 0,
        "max_accuracy_drop",
        "at least 0",
        run.max_accuracy_drop,
    )
    kinds.check(run)
    size = min(run.data.input_shape[:2])
    check(
        run.augmentation.shift < size,
        "augmentation.shift",
        f"less than the images' {size} pixels",
        run.augmentation.shift,
    )
    names = [name_of(part) for part in run.finish]
    check(len(set(names)) == len(names), "finish", "of different names", names)
    for index, part in enumerate(run.finish):
        for needed in part.needs:
            check(
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
        name = schema.name_in(arguments[1], value)
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
