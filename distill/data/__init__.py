"""Name -> labelled examples in three disjoint splits: train, validation, test.

A data set is a frozen dataclass of options whose `load` gives the splits. A batch is a
pure function of seed and step, made before teacher and student see it.
"""

import dataclasses
from collections.abc import Sequence

from distill.data import checks
from distill.data.dataset import Dataset
from distill.data.sets.archives import Cifar10, Cifar100, Digits, FashionMnist, Mnist
from distill.data.sets.image_folder import ImageFolder
from distill.data.sets.sentiment import Imdb, Sst2
from distill.data.sets.text import TextFile
from distill.data.sets.tfrecord import TFRecord
from distill.data.splits import Split, Splits, floats
from distill.runtime import progress
from distill.runtime.errors import DataError

__all__ = ["DATASETS", "DataError", "Dataset", "Split", "Splits", "floats", "read"]

DATASETS = {
    "digits": Digits,
    "mnist": Mnist,
    "fashion_mnist": FashionMnist,
    "cifar10": Cifar10,
    "cifar100": Cifar100,
    "image_folder": ImageFolder,
    "tfrecord": TFRecord,
    "text_file": TextFile,
    "imdb": Imdb,
    "sst2": Sst2,
}


def read(dataset: Dataset, given: Sequence[str] = ()) -> Splits:
    """Loads a set, and says which, and what a reader of its numbers should know.

    Args:
        dataset: The set.
        given: Names of the networks that were trained elsewhere.

    Raises:
        DataError: See `Dataset.load`.
    """
    name = next(name for name, kind in DATASETS.items() if kind is type(dataset))
    with progress.step("data", f"reading {name}"):
        splits = dataset.load()
    if splits.drawn and given:
        warnings = (*splits.warnings, checks.unknown(given))
        splits = dataclasses.replace(splits, warnings=warnings)
    for line in splits.warnings:
        progress.say(f"    warning: {line}")
    return splits
