"""Transfer sets: the rows that a student learns from."""

import dataclasses
from typing import ClassVar

import numpy as np

from distill.config import schema
from distill.data.synthetic import munge
from distill.studies.tabular.learners import at_least_one
from distill.studies.tabular.rows import Rows
from gan.conditional import DenseClassifier
from gan.generators import DenseGenerator
from trainers.generators.acgan import ACGAN

STEPS = 10  # In one call of the backend: a step on rows is short beside a call.
BATCH = 4096  # Rows at once where only answers are wanted.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transfer:
    """The training rows themselves, under the teacher's answers.

    Attributes:
        taught: Whether the teacher says the targets; else the labels are.
        pooled: Whether the training rows are added to those made of them.
    """

    taught: ClassVar[bool] = True
    pooled: ClassVar[bool] = False

    def rows(self, train: Rows, seed: int) -> np.ndarray:
        """Makes the rows.

        Args:
            train: Scaled; the labels may condition what is made.
            seed: Of all draws.

        Returns:
            `(m, features)`.
        """
        return train.features


@dataclasses.dataclass(frozen=True, kw_only=True)
class Alone(Transfer):
    """The training rows under their labels: no teacher."""

    taught = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Made(Transfer):
    """Rows made of the training rows.

    Attributes:
        copies: Rows made, in training rows.
        pooled: Whether the training rows are added to them.
    """

    copies: int = 9
    pooled: bool = False

    def __post_init__(self):
        """Refuses to make nothing."""
        at_least_one(self, "copies")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bootstrap(Made):
    """Training rows drawn with replacement: as many rows, and nothing new in them."""

    def rows(self, train, seed):
        """Draws the rows."""
        count = len(train.features)
        drawn = np.random.default_rng(seed).integers(count, size=self.copies * count)
        return train.features[drawn]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Jitter(Made):
    """Training rows, each number moved by Gaussian noise: the plainest new rows.

    Attributes:
        deviation: Of the noise, in standard deviations of the scaled features;
            positive.
    """

    deviation: float = 0.1

    def __post_init__(self):
        """Refuses noise without a size."""
        super().__post_init__()
        if self.deviation <= 0:
            raise ValueError(
                f"`deviation` must be positive. Received: {self.deviation}"
            )

    def rows(self, train, seed):
        """Moves the rows."""
        rows = np.tile(train.features, (self.copies, 1))
        noise = np.random.default_rng(seed).standard_normal(rows.shape)
        return rows + self.deviation * noise


@dataclasses.dataclass(frozen=True, kw_only=True)
class Munge(Made):
    """Rows mixed with their nearest neighbours; see `munge.munge`.

    Attributes:
        swap_probability: p, for each feature; in [0, 1].
        variance: s, positive; a larger one means less noise.
    """

    swap_probability: float = 0.1
    variance: float = 1.5

    def __post_init__(self):
        """Refuses values out of range."""
        super().__post_init__()
        munge.check(self.swap_probability, self.variance)

    def rows(self, train, seed):
        """Mixes the rows."""
        return munge.munge(
            train.features,
            self.copies,
            self.swap_probability,
            self.variance,
            np.random.default_rng(seed),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gan(Made):
    """Rows from a generator of the training rows' own classes.

    Attributes:
        generator: Dense; `linear`, since scaled features have no bounds.
        discriminator: Dense.
        method: How the two are trained.
        epochs: Times that every training row is seen.
        batch_size: Rows in a step, real and made each.

    Source:
        Liu, Fusi and Mackey, "Teacher-Student Compression with Generative
        Adversarial Networks", 2018, section 4.2: the defaults.
    """

    generator: DenseGenerator = DenseGenerator(activation="linear")
    discriminator: DenseClassifier = DenseClassifier()
    method: ACGAN = ACGAN()
    epochs: int = 200
    batch_size: int = 100

    def __post_init__(self):
        """Refuses values out of range."""
        super().__post_init__()
        at_least_one(self, "epochs", "batch_size")
        if self.generator.activation != "linear":
            raise ValueError(
                "`generator.activation` must be linear: scaled columns have no bounds. "
                f"Received: {self.generator.activation}"
            )

    def rows(self, train, seed):
        """Trains the generator, and asks it for rows of the classes' own shares."""
        import keras

        from trainers.generators.generator import GeneratorTrainer

        keras.utils.set_random_seed(seed)
        shape, classes = train.features.shape[1:], len(train.class_names)
        generator = self.generator.build(shape, classes)
        trainer = GeneratorTrainer(
            generator=generator,
            discriminator=self.discriminator.build(shape, classes),
            method=self.method,
        )
        trainer.compile(trainer.sides(), steps_per_execution=STEPS)
        trainer.fit(
            train.features.astype("float32"),
            train.labels.astype("int32"),
            batch_size=self.batch_size,
            epochs=self.epochs,
            verbose=0,
        )
        rng = np.random.default_rng(seed)
        count = self.copies * len(train.labels)
        asked = {
            "noise": rng.standard_normal((count, self.generator.noise), "float32"),
            "label": rng.choice(train.labels, count).astype("int32"),
        }
        return generator.predict(asked, batch_size=BATCH, verbose=0).astype(float)


TRANSFERS = {
    "alone": Alone,
    "train": Transfer,
    "bootstrap": Bootstrap,
    "jitter": Jitter,
    "munge": Munge,
    "gan": Gan,
}


def label(part: Transfer) -> str:
    """The name of a transfer set in the report, such as `munge+train`."""
    name = schema.name_in(TRANSFERS, part)
    return f"{name}+train" if part.pooled else name
