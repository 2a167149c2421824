"""Answers of a network or a file to a split, and how many of them are right."""

import pathlib

import numpy as np

from distill import data
from distill.measure import interpreter

BATCH = 256  # Examples at once where only answers are wanted.


def logits(model, split: data.Split) -> np.ndarray:
    """Answers of a network in memory, or of a `.tflite` file.

    Args:
        model: A `keras.Model` under the contract of `students`, or a `.tflite` file.
        split: The examples.

    Returns:
        float32, `(n, classes)`.
    """
    if isinstance(model, pathlib.Path):
        return interpreter.predict(model, split.floats())
    import keras

    # Without the representations, which need much more memory than the inputs.
    answers = keras.Model(model.inputs, model.output["logits"])
    return answers.predict(split.floats(), batch_size=BATCH, verbose=0)


def classes(answers: np.ndarray) -> np.ndarray:
    """The class of the largest logit, `(n,)`; -1, which is none, where one is NaN.

    Args:
        answers: Logits, `(n, classes)`.
    """
    return np.where(np.isnan(answers).any(-1), -1, answers.argmax(-1))


def accuracy(answers: np.ndarray, split: data.Split) -> float:
    """Percent of the examples whose largest logit is the label's."""
    return 100 * float(np.mean(classes(answers) == split.labels))
