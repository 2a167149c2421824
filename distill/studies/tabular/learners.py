"""Who teaches and who learns: forests and small networks on rows of numbers.

A fitted learner is a function from features, `(n, features)`, to the probability
of each class, `(n, classes)`.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

Answers = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forest:
    """A random forest of classification trees, everything else as scikit-learn has it.

    Attributes:
        trees: How many.
    """

    trees: int = 500

    def __post_init__(self):
        """Refuses an empty forest."""
        at_least_one(self, "trees")

    def fit(self, features: np.ndarray, labels: np.ndarray, seed: int) -> Answers:
        """Learns from labels.

        Args:
            features: `(n, features)`.
            labels: `(n,)`, from 0; each class at least once.
            seed: Of the forest's draws.
        """
        from sklearn import ensemble

        forest = ensemble.RandomForestClassifier(self.trees, random_state=seed)
        return _grown(forest, features, labels).predict_proba


TEACHERS = {"forest": Forest}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Student:
    """What is taught."""

    def fit(self, features: np.ndarray, targets: np.ndarray, seed: int) -> Answers:
        """Learns to give the targets.

        Args:
            features: `(n, features)`.
            targets: The teacher's probabilities, `(n, classes)`; or labels, `(n,)`.
            seed: Of all draws.
        """
        raise NotImplementedError

    @property
    def label(self) -> str:
        """Its name in the report."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trees(Student):
    """A forest of few trees: of regression trees where the targets are probabilities.

    Attributes:
        trees: How many.

    Source:
        Liu, Fusi and Mackey, "Teacher-Student Compression with Generative
        Adversarial Networks", 2018, section 4. https://arxiv.org/abs/1812.02271
    """

    trees: int = 1

    def __post_init__(self):
        """Refuses an empty forest."""
        at_least_one(self, "trees")

    def fit(self, features, targets, seed):
        """Learns labels as a classifier, probabilities as a regressor."""
        from sklearn import ensemble

        if targets.ndim == 1:
            return Forest(trees=self.trees).fit(features, targets, seed)
        forest = ensemble.RandomForestRegressor(self.trees, random_state=seed)
        if targets.shape[1] > 2:
            return _grown(forest, features, targets).predict
        _grown(forest, features, targets[:, 1])

        def answer(asked):
            second = forest.predict(asked)
            return np.stack([1 - second, second], axis=1)

        return answer

    @property
    def label(self):
        """For example `5 trees`."""
        return "1 tree" if self.trees == 1 else f"{self.trees} trees"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dense(Student):
    """A network of one hidden layer, trained by cross-entropy with Adam.

    Attributes:
        units: Of the hidden layer; ReLU.
        steps: Batches seen, whatever the number of rows, rounded up to whole
            passes over them: more rows do not mean more training.
        batch_size: Rows in a step.
        learning_rate: Of the first step; falls to zero as a cosine.
    """

    units: int = 64
    steps: int = 4000
    batch_size: int = 128
    learning_rate: float = 0.003

    def __post_init__(self):
        """Refuses values out of range."""
        at_least_one(self, "units", "steps", "batch_size")
        if self.learning_rate <= 0:
            raise ValueError(
                f"`learning_rate` must be positive. Received: {self.learning_rate}"
            )

    def fit(self, features, targets, seed):
        """Learns labels and probabilities by the same loss."""
        import keras

        if targets.ndim == 1:
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

        def answer(asked):
            return network.predict(
                asked.astype("float32"), batch_size=4096, verbose=0
            ).astype(float)

        return answer

    @property
    def label(self):
        """For example `64 units`."""
        return f"{self.units} units"


STUDENTS = {"trees": Trees, "dense": Dense}


def _grown(forest, features, targets):
    """A forest fitted on all cores, for the trees do not depend on how many."""
    forest.set_params(n_jobs=-1).fit(features, targets)
    return forest.set_params(n_jobs=1)


def auc(labels: np.ndarray, answers: np.ndarray) -> float:
    """Area under the ROC curve; of more than two classes, the mean of one-vs-rest.

    Args:
        labels: `(n,)`, from 0; every class at least once.
        answers: Probabilities, `(n, classes)`.

    Returns:
        In [0, 1].
    """
    from sklearn import metrics

    if answers.shape[1] == 2:
        return float(metrics.roc_auc_score(labels, answers[:, 1]))
    each = [
        metrics.roc_auc_score(labels == label, answers[:, label])
        for label in range(answers.shape[1])
    ]
    return float(np.mean(each))


def at_least_one(part: object, *names: str) -> None:
    """Refuses options below 1.

    Args:
        part: Holds the options.
        names: Of the options.

    Raises:
        ValueError: Names the option.
    """
    for name in names:
        value = getattr(part, name)
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {value}")
