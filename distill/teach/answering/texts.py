"""Texts as numbers, in which form they reach another process."""

from collections.abc import Sequence

import numpy as np

_END = "\0"  # Between texts, none of which has it.


def to_numbers(texts: Sequence[str]) -> np.ndarray:
    """Texts as code points, int32, `(n,)`, with 0 between one and the next.

    Args:
        texts: At least one, without NUL characters.
    """
    return np.frombuffer(_END.join(texts).encode("utf-32-le"), "<i4")


def from_numbers(numbers: np.ndarray) -> list[str]:
    """The texts of which `to_numbers` has made the numbers."""
    return numbers.astype("<i4").tobytes().decode("utf-32-le").split(_END)


def are_numbers(batch: np.ndarray) -> bool:
    """Whether a batch is one of `to_numbers`; else it is images or ids."""
    return batch.ndim == 1
