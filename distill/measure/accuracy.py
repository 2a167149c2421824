"""Logits of a network or a file on a split, and their accuracy."""

import pathlib
import weakref

import numpy as np

from distill import data
from distill.measure import interpreter

BATCH = 256  # Examples in one pass; without gradients a large batch fits.
# Cohen's kappa up to which Landis and Koch, "The Measurement of Observer Agreement for
# Categorical Data", 1977, call an agreement slight.
SLIGHT = 0.2

# Of each network, so that Keras traces it once.
_classifiers: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def logits(model, split: data.Split) -> np.ndarray:
    """Logits of a network in memory, or of a `.tflite` file.

    Args:
        model: A `keras.Model` under the contract of `students`, or a `.tflite` file.
        split: The examples.

    Returns:
        float32, `(n, classes)`.
    """
    if isinstance(model, pathlib.Path):
        return interpreter.predict(model, split.floats())
    import keras

    if model not in _classifiers:
        # Without the representations: of a whole split, they need too much memory.
        logits = model.output["logits"]
        _classifiers[model] = keras.Model(model.inputs, logits)
    return _classifiers[model].predict(split.floats(), batch_size=BATCH, verbose=0)


def classes(logits: np.ndarray) -> np.ndarray:
    """The class of the largest logit, `(n,)`; -1, which is no class, if one is NaN.

    Args:
        logits: Logits, `(n, classes)`.
    """
    # Alone, `argmax` would return the place of the NaN, which can be the right class.
    return np.where(np.isnan(logits).any(-1), -1, logits.argmax(-1))


def agreement(logits: np.ndarray, taught: np.ndarray) -> float:
    """Percentage of examples whose largest logit is that of the teacher's logits."""
    predicted = classes(logits)
    return 100 * float(((predicted == classes(taught)) & (predicted >= 0)).mean())


def accuracy(logits: np.ndarray, split: data.Split) -> float:
    """Percentage of examples whose largest logit is the label's."""
    return 100 * float(np.mean(classes(logits) == split.labels))


def find_chance(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float] | None:
    """Finds predictions that are no better than chance.

    Args:
        logits: Logits, `(n, classes)`.
        labels: What they are compared with, `(n,)`.

    Returns:
        Their accuracy, and that of the same predictions in a random order, if the first
        is within two standard deviations of the second and Cohen's kappa is slight;
        else None.
    """
    predicted, classes, count = logits.argmax(-1), logits.shape[-1], len(labels)
    right = float(np.mean(predicted == labels))
    shares = (np.bincount(x, minlength=classes) / count for x in (predicted, labels))
    chance = float(np.dot(*shares))
    noise = 2 * np.sqrt(chance * (1 - chance) / count)
    # Either margin is enough: with few examples the noise is wide, and with many even
    # an accuracy whose kappa is slight differs from chance.
    if right == 1 or right > chance + min(noise, SLIGHT * (1 - chance)):
        return None
    return right, chance
