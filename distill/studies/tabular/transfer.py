"""Transfer sets: the rows that a student learns from."""

import dataclasses
from typing import ClassVar

import numpy as np

from distill.config import schema
from distill.data.synthetic import munge
from distill.studies.tabular.learners import check_at_least_one
from distill.studies.tabular.rows import Rows
from gan.conditional import DenseClassifier
from gan.generators import DenseGenerator
from trainers.generators.acgan import ACGAN

STEPS = 10  # Steps per execution: a step on a few rows is shorter than a call.
BATCH = 4096  # Batch size of inference.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transfer:
    """The training rows themselves, with the teacher's probabilities.

    Attributes:
        taught: Whether targets are the teacher's probabilities; if not, the labels.
        pooled: Whether the training rows are added to the generated ones.
    """

    taught: ClassVar[bool] = True
    pooled: ClassVar[bool] = False

    def rows(self, train: Rows, seed: int) -> np.ndarray:
        """Generates the rows of the set.

        Args:
            train: The scaled training rows; their labels may condition a generator.
            seed: Decides all draws.

        Returns:
            Features, `(m, features)`.
        """
        return train.features


@dataclasses.dataclass(frozen=True, kw_only=True)
class Alone(Transfer):
    """The training rows with their labels, without a teacher."""

    taught = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generated(Transfer):
    """Rows that are generated from the training rows.

    Attributes:
        copies: Number of generated rows for each training row.
        pooled: Whether the training rows are added to them.
    """

    copies: int = 9
    pooled: bool = False

    def __post_init__(self):
        """Refuses a set without rows."""
        check_at_least_one(self, "copies")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bootstrap(Generated):
    """Training rows drawn with replacement: more rows, but no new ones."""

    def rows(self, train, seed):
        """Draws the rows."""
        count = len(train.features)
        indices = np.random.default_rng(seed).integers(count, size=self.copies * count)
        return train.features[indices]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Jitter(Generated):
    """Training rows with Gaussian noise added: the simplest new rows.

    Attributes:
        deviation: Standard deviation of the noise, in units of the scaled features;
            positive.
    """

    deviation: float = 0.1

    def __post_init__(self):
        """Refuses values out of range."""
        super().__post_init__()
        if self.deviation <= 0:
            raise ValueError(
                f"`deviation` must be positive. Received: {self.deviation}"
            )

    def rows(self, train, seed):
        """Adds the noise."""
        rows = np.tile(train.features, (self.copies, 1))
        noise = np.random.default_rng(seed).standard_normal(rows.shape)
        return rows + self.deviation * noise


@dataclasses.dataclass(frozen=True, kw_only=True)
class Munge(Generated):
    """Rows mixed with their nearest neighbours; see `munge.munge`.

    Attributes:
        swap_probability: The paper's p, for each feature; in [0, 1].
        variance: The paper's s, positive; a larger value means less noise.
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
class Gan(Generated):
    """Rows from a generator that is trained on the training rows and their classes.

    Attributes:
        generator: The generator, dense; its activation is `linear`, since scaled
            features have no bounds.
        discriminator: The discriminator, dense.
        method: How the two are trained.
        epochs: Number of epochs.
        batch_size: Number of real rows, and of generated rows, in a step.

    Source:
        Liu, Fusi and Mackey, "Teacher-Student Compression with Generative
        Adversarial Networks", 2018, section 4.2, for the defaults.
    """

    generator: DenseGenerator = DenseGenerator(activation="linear")
    discriminator: DenseClassifier = DenseClassifier()
    method: ACGAN = ACGAN()
    epochs: int = 200
    batch_size: int = 100

    def __post_init__(self):
        """Refuses values out of range."""
        super().__post_init__()
        check_at_least_one(self, "epochs", "batch_size")
        if self.generator.activation != "linear":
            raise ValueError(
                "`generator.activation` must be linear, since scaled features have no "
                f"bounds. Received: {self.generator.activation}"
            )

    def rows(self, train, seed):
        """Trains the generator, then draws rows with the classes' own frequencies."""
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
        # NumPy's numbers are the same on every backend.
        rng = np.random.default_rng(seed)
        count = self.copies * len(train.labels)
        inputs = {
            "noise": rng.standard_normal((count, self.generator.noise), "float32"),
            "label": rng.choice(train.labels, count).astype("int32"),
        }
        return generator.predict(inputs, batch_size=BATCH, verbose=0).astype(float)


TRANSFERS = {
    "alone": Alone,
    "train": Transfer,
    "bootstrap": Bootstrap,
    "jitter": Jitter,
    "munge": Munge,
    "gan": Gan,
}


def label(part: Transfer) -> str:
    """The name of a transfer set in the report, for example `munge+train`."""
    name = schema.name_in(TRANSFERS, part)
    return f"{name}+train" if part.pooled else name
