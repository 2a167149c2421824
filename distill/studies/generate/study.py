"""What a study is: a large generator, a small one, and how each is trained."""

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
    """Who judges what is made: trained once on the real training images.

    Attributes:
        network: What is trained; see `students.BUILDERS`.
        stages: How it is trained, by `supervised`.
    """

    network: Annotated[students.Network, students.BUILDERS]
    stages: tuple[config.Stage, ...]

    def __post_init__(self):
        """Refuses stages that are none, or ask a teacher."""
        names = [stage.name for stage in self.stages]
        if set(names) != {"supervised"}:
            raise ValueError(
                f"`stages` must be at least one, by `supervised`. Received: {names}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Imitation:
    """The stage in which the student's section learns the teacher's section alone.

    Attributes:
        epochs: Times that every training image is seen.
        learning_rate: Of its Adam; falls linearly to 0 in the second half.

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
    """Everything that decides the outcome of `python -m distill.generate`.

    The teacher is trained against a discriminator. The student is trained by LIT on
    the teacher, then as the teacher was, against the teacher's own discriminator,
    which goes on learning. The control, `scratch`, is the student's network trained
    as the teacher was, for as many updates as the student in both of its stages.

    Attributes:
        data: The images; their classes are the domains. See `distill.data.DATASETS`.
        batch_size: Images in a step.
        classifier: Judges what is made; of all seeds one.
        teacher: The large generator.
        student: The small one: fewer `blocks`.
        discriminator: Who judges it; see `gan.conditional.DISCRIMINATORS`.
        training: How a generator and its discriminator are trained.
        teacher_epochs: Of the teacher's training.
        lit: The student's first stage.
        tuning_epochs: Of the student's second stage.
        measured: Test images, at most, that are turned into every class but their own
            to measure; half of the test split, at most.
        seed: The first; it decides weights, order and all draws.
        seeds: How often all but the classifier is done again, with `seed`,
            `seed` + 1, ...

    Raises:
        ValueError: If an option is out of its range, or parts do not fit each other.

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
        """Refuses values out of range, and parts that do not fit each other."""
        for name in ("batch_size", "teacher_epochs", "tuning_epochs", "seeds"):
            check(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        check(self.seed >= 0, "seed", "at least 0", self.seed)
        check(self.measured >= 4, "measured", "at least 4", self.measured)
        shape = self.data.input_shape
        for name in ("teacher", "student", "discriminator"):
            try:
                getattr(self, name).check_shape(shape)
            except ValueError as mistake:
                raise ValueError(f"`{name}`: {mistake}") from None
        try:
            LIT().check_shapes(self.teacher.shapes(shape), self.student.shapes(shape))
        except ValueError as mistake:
            raise ValueError(f"`student`: {mistake}") from None

    @property
    def scratch_epochs(self) -> int:
        """Of the control: as many updates of a generator as the student has in all."""
        return self.lit.epochs * self.training.discriminator_steps + self.tuning_epochs
