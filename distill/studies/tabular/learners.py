"""Teachers and students on rows of numbers: forests and small networks.

A fitted learner is a function from features, `(n, features)`, to the probability
of each class, `(n, classes)`.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

Predictor = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forest:
    """A random forest of classification trees, with scikit-learn's other defaults.

    Attributes:
        trees: Number of trees.
    """

    trees: int = 500

    def __post_init__(self):
        """Refuses an empty forest."""
        check_at_least_one(self, "trees")

    def fit(self, features: np.ndarray, labels: np.ndarray, seed: int) -> Predictor:
        """Learns from labels.

        Args:
            features: `(n, features)`.
            labels: `(n,)`, from 0; each class at least once.
            seed: Decides the forest's draws.
        """
        from sklearn import ensemble

        forest = ensemble.RandomForestClassifier(self.trees, random_state=seed)
        return _fit_forest(forest, features, labels).predict_proba


TEACHERS = {"forest": Forest}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Student:
    """A learner that imitates the teacher."""

    def fit(self, features: np.ndarray, targets: np.ndarray, seed: int) -> Predictor:
        """Learns to predict the targets.

        Args:
            features: `(n, features)`.
            targets: The teacher's probabilities, `(n, classes)`; or labels, `(n,)`.
            seed: Decides all draws.
        """
        raise NotImplementedError

    @property
    def label(self) -> str:
        """The student's name in the report."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trees(Student):
    """A forest of few trees; of regression trees if the targets are probabilities.

    Attributes:
        trees: Number of trees.

    Source:
        Liu, Fusi and Mackey, "Teacher-Student Compression with Generative
        Adversarial Networks", 2018, section 4. https://arxiv.org/abs/1812.02271
    """

    trees: int = 1

    def __post_init__(self):
        """Refuses an empty forest."""
        check_at_least_one(self, "trees")

    def fit(self, features, targets, seed):
        """Learns labels as a classifier, probabilities as a regressor."""
        from sklearn import ensemble

        if targets.ndim == 1:
            return Forest(trees=self.trees).fit(features, targets, seed)
        forest = ensemble.RandomForestRegressor(self.trees, random_state=seed)
        if targets.shape[1] > 2:
            return _fit_forest(forest, features, targets).predict
        # Of two classes, one probability determines the other.
        _fit_forest(forest, features, targets[:, 1])

        def predict(features):
            second = forest.predict(features)
            return np.stack([1 - second, second], axis=1)

        return predict

    @property
    def label(self):
        """For example `5 trees`."""
        return "1 tree" if self.trees == 1 else f"{self.trees} trees"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dense(Student):
    """A network of one hidden layer, trained by cross-entropy with Adam.

    Attributes:
        units: Units of the hidden layer, which has ReLU.
        steps: Number of training steps, rounded up to whole epochs. It does not depend
            on the number of rows: more rows do not mean more training.
        batch_size: Number of rows in a step.
        learning_rate: Rate of the first step; falls to zero by a cosine.
    """

    units: int = 64
    steps: int = 4000
    batch_size: int = 128
    learning_rate: float = 0.003

    def __post_init__(self):
        """Refuses values out of range."""
        check_at_least_one(self, "units", "steps", "batch_size")
        if self.learning_rate <= 0:
            raise ValueError(
                f"`learning_rate` must be positive. Received: {self.learning_rate}"
            )

    def fit(self, features, targets, seed):
        """Learns labels and probabilities by the same loss."""
        import keras

        if targets.ndim == 1:
            # One-hot, so that both kinds of targets have one loss.
            targets = np.eye(targets.max() + 1)[targets]
        epochs = math.ceil(self.steps * self.batch_size / len(features))
        total = epochs * math.ceil(len(features) / self.batch_size)
        keras.utils.set_random_seed(seed)
        network = keras.Sequential(
            [
                keras.Input(features.shape[1:]),
                keras.layers.Dense(self.units, activation="relu"),
                keras.layers.Dense(targets.shape[1], activation="softmax"),
            ]
        )
        rate = keras.optimizers.schedules.CosineDecay(self.learning_rate, total)
        network.compile(keras.optimizers.Adam(rate), "categorical_crossentropy")
        network.fit(
            features.astype("float32"),
            targets.astype("float32"),
            batch_size=self.batch_size,
            epochs=epochs,
            verbose=0,
        )

        def predict(features):
            return network.predict(
                features.astype("float32"), batch_size=4096, verbose=0
            ).astype(float)

        return predict

    @property
    def label(self):
        """For example `64 units`."""
        return f"{self.units} units"


STUDENTS = {"trees": Trees, "dense": Dense}


def _fit_forest(forest, features, targets):
    """Fits a forest on all cores; the trees do not depend on the number of cores."""
    forest.set_params(n_jobs=-1).fit(features, targets)
    # Speed is measured on one core.
    return forest.set_params(n_jobs=1)


def auc(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Area under the ROC curve; for more than two classes, the one-vs-rest mean.

    Args:
        labels: `(n,)`, from 0; every class at least once.
        probabilities: `(n, classes)`.

    Returns:
        A number in [0, 1].
    """
    from sklearn import metrics

    if probabilities.shape[1] == 2:
        return float(metrics.roc_auc_score(labels, probabilities[:, 1]))
    each = [
        metrics.roc_auc_score(labels == label, probabilities[:, label])
        for label in range(probabilities.shape[1])
    ]
    return float(np.mean(each))


def check_at_least_one(part: object, *names: str) -> None:
    """Refuses options below 1.

    Args:
        part: The object that has the options.
        names: Names of the options.

    Raises:
        ValueError: If an option is below 1; the message names it.
    """
    for name in names:
        value = getattr(part, name)
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {value}")
