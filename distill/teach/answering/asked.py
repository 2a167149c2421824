"""Whoever is asked for answers: a network, or a teacher that only answers."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np

from distill import data


class Asked(Protocol):
    """Gives the answers that are kept.

    Attributes:
        identity: A text that is the same only for the same answers.
    """

    identity: str

    def answer(
        self, split: str, indices: np.ndarray, inputs: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The answers to some examples.

        Args:
            split: Name of their split.
            indices: Their indices in it, `(n,)`.
            inputs: The examples as the student gets them, `(n, ...)`; perhaps
                augmented.

        Returns:
            Name of each output to its values, float32, `(n, ...)`.
        """

    def ready(self) -> AbstractContextManager:
        """A context in which it may be asked; what that needs is freed at its end."""


class Answerer(Asked, Protocol):
    """A teacher that only answers.

    Attributes:
        where: Its key and file, for messages.
        shapes: Name of each output to its shape without the batch, `logits` first.
    """

    where: str
    shapes: Mapping[str, tuple[int, ...]]

    def check(self, splits: data.Splits) -> None:
        """Compares what it has with the data, before it is asked.

        Raises:
            ConfigError: If it has other examples.
        """
