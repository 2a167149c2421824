"""The config of a study: a large generator, a small one, and their training."""

import dataclasses
from typing import Annotated

import students
from distill import config, data
from distill.runtime.errors import check
from gan import conditional
from gan.translators import ResidualTranslator
from trainers.generators.stargan import StarGAN
from trainers.lit.lit import LIT


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classifier:
    """The classifier that judges generated images, trained once on real ones.

    Attributes:
        network: The classifier's network; see `students.BUILDERS`.
        stages: How it is trained; each stage by `supervised`.
    """

    network: Annotated[students.Network, students.BUILDERS]
    stages: tuple[config.Stage, ...]

    def __post_init__(self):
        """Refuses an empty list of stages, and stages with a teacher."""
        names = [stage.name for stage in self.stages]
        if set(names) != {"supervised"}:
            raise ValueError(
                f"`stages` must be at least one, by `supervised`. Received: {names}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Imitation:
    """The first stage, in which only the student's section learns from the teacher's.

    Attributes:
        epochs: Number of epochs.
        learning_rate: Rate of its Adam; falls linearly to 0 in the second half.

    Raises:
        ValueError: If an option is out of its range.
    """

    epochs: int
    learning_rate: float = 1e-3

    def __post_init__(self):
        """Refuses values out of range."""
        check(self.epochs >= 1, "epochs", "at least 1", self.epochs)
        check(self.learning_rate > 0, "learning_rate", "positive", self.learning_rate)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """All options of `python -m distill.generate`.

    The teacher is trained against a discriminator. The student is trained by LIT on
    the teacher, then like the teacher, against the teacher's own discriminator,
    which continues to learn. The control, `scratch`, is the student's network trained
    like the teacher, for as many updates as the student has in both of its stages.

    Attributes:
        data: The images; their classes are the domains. See `distill.data.DATASETS`.
        batch_size: Number of images in a step.
        classifier: Judges generated images; the same for all seeds.
        teacher: The large generator.
        student: The small generator, with fewer `blocks`.
        discriminator: Their opponent; see `gan.conditional.DISCRIMINATORS`.
        training: How a generator and its discriminator are trained.
        teacher_epochs: Number of epochs of the teacher.
        lit: The student's first stage.
        tuning_epochs: Number of epochs of the student's second stage.
        measured: The most test images that are translated to every class but their
            own for measurement; at most half of the test split.
        seed: The first seed; it decides weights, order and all draws.
        seeds: Number of seeds: everything but the classifier is repeated with `seed`,
            `seed` + 1, ...

    Raises:
        ValueError: If an option is out of its range, or two do not fit each other.

    Source:
        Koratana et al., "LIT: Learned Intermediate Representation Training for
        Model Compression", ICML 2019: its StarGAN.
    """

    data: Annotated[data.Dataset, data.DATASETS]
    batch_size: int = 16
    classifier: Classifier
    teacher: ResidualTranslator = ResidualTranslator(blocks=6)
    student: ResidualTranslator = ResidualTranslator(blocks=2)
    discriminator: Annotated[conditional.Classifier, conditional.DISCRIMINATORS]
    training: StarGAN = StarGAN()
    teacher_epochs: int
    lit: Imitation
    tuning_epochs: int
    measured: int = 1000
    seed: int = 0
    seeds: int = 3

    def __post_init__(self):
        """Refuses values out of range, and options that do not fit each other."""
        for name in ("batch_size", "teacher_epochs", "tuning_epochs", "seeds"):
            check(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        check(self.seed >= 0, "seed", "at least 0", self.seed)
        check(self.measured >= 4, "measured", "at least 4", self.measured)
        check(
            self.data.unlabelled is None,
            "data.options.unlabelled",
            "left out: a generator learns from examples of known classes alone",
            self.data.unlabelled,
        )
        shape = self.data.input_shape
        for name in ("teacher", "student", "discriminator"):
            try:
                getattr(self, name).check_shape(shape)
            except ValueError as error:
                raise ValueError(f"`{name}`: {error}") from None
        try:
            LIT().check_shapes(self.teacher.shapes(shape), self.student.shapes(shape))
        except ValueError as error:
            raise ValueError(f"`student`: {error}") from None

    @property
    def scratch_epochs(self) -> int:
        """Epochs of the control, for as many generator updates as the student has."""
        # In LIT every batch is an update; in the game, every `discriminator_steps`.
        return self.lit.epochs * self.training.discriminator_steps + self.tuning_epochs
