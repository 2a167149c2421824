"""Name -> labelled examples in three disjoint splits: train, validation, test.

A data set is a frozen dataclass of options whose `load` gives the splits. A batch is a
pure function of seed and step, made before teacher and student see it.
"""

from distill.data.dataset import Dataset, Split, Splits, floats
from distill.data.sets.archives import Cifar10, Cifar100, Digits, FashionMnist, Mnist
from distill.data.sets.image_folder import ImageFolder
from distill.data.sets.text import Imdb, Sst2, TextFile
from distill.data.sets.tfrecord import TFRecord
from distill.runtime.errors import DataError

__all__ = ["DATASETS", "DataError", "Dataset", "Split", "Splits", "floats"]

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
