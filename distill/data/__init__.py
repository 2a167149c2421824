"""Data sets: labelled examples in disjoint training, validation and test splits.

A data set is a frozen dataclass of options whose `load` returns the splits. A batch is
a pure function of seed and step; teacher and student get the same one.
"""

import dataclasses
from collections.abc import Sequence

from distill.data import checks
from distill.data.dataset import Dataset
from distill.data.sets.archives import Cifar10, Cifar100, Digits, FashionMnist, Mnist
from distill.data.sets.array_folder import ArrayFolder
from distill.data.sets.image_folder import ImageFolder
from distill.data.sets.own_python import OwnPython
from distill.data.sets.sentiment import Imdb, Sst2
from distill.data.sets.text import TextFile
from distill.data.sets.tfrecord import TFRecord
from distill.data.splits import UNLABELLED, Split, Splits, floats
from distill.runtime import progress
from distill.runtime.errors import DataError

__all__ = [
    "DATASETS",
    "UNLABELLED",
    "DataError",
    "Dataset",
    "Split",
    "Splits",
    "floats",
    "read",
]

DATASETS = {
    "digits": Digits,
    "mnist": Mnist,
    "fashion_mnist": FashionMnist,
    "cifar10": Cifar10,
    "cifar100": Cifar100,
    "array_folder": ArrayFolder,
    "python": OwnPython,
    "image_folder": ImageFolder,
    "tfrecord": TFRecord,
    "text_file": TextFile,
    "imdb": Imdb,
    "sst2": Sst2,
}


def read(dataset: Dataset, pretrained: Sequence[str] = ()) -> Splits:
    """Loads a data set; prints its name and the warnings about it.

    Args:
        dataset: The data set.
        pretrained: Names of the networks that were trained elsewhere.

    Raises:
        DataError: See `Dataset.load`.
    """
    name = next(name for name, kind in DATASETS.items() if kind is type(dataset))
    with progress.step("data", f"reading {name}"):
        splits = dataset.load()
    if splits.drawn and pretrained and splits.test.has_labels:
        warnings = (*splits.warnings, checks.leakage_warning(pretrained))
        splits = dataclasses.replace(splits, warnings=warnings)
    if splits.unlabelled is not None:
        count, beside = len(splits.unlabelled.labels), len(splits.train.labels)
        progress.say(
            f"    {count:,} unlabelled examples beside {beside:,} training examples"
        )
    for warning in splits.warnings:
        progress.say(f"    warning: {warning}")
    return splits
