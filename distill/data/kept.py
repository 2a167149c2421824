"""The logits of a teacher that only answers, in a run's folder."""

import pathlib
from collections.abc import Mapping

import numpy as np

FILE = "teacher.npz"


def write(path: pathlib.Path, logits: Mapping[str, np.ndarray]) -> None:
    """Writes the file.

    Args:
        path: The file.
        logits: Name of each split to logits, `(variants, examples, classes)`.
    """
    with path.open("wb") as file:
        np.savez(file, **logits)


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads what `write` wrote."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
