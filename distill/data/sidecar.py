"""What whoever runs a file needs beside it: who was in which split, names, ids."""

import pathlib

from distill.data import split_file
from distill.data.dataset import Dataset
from distill.data.splits import Splits
from distill.runtime import files

LABELS = "labels.txt"  # A line a class, in the order of the logits.
TOKENIZER = "tokenizer.json"  # Makes the ids of a text.
NAMES = (split_file.FILE, LABELS, TOKENIZER)


def write(folder: pathlib.Path, dataset: Dataset, splits: Splits) -> None:
    """Writes these files into a run's folder.

    Args:
        folder: Of the run.
        dataset: What it learns from.
        splits: The data, with the tokenizer of texts.
    """
    files.atomic_write(folder / split_file.FILE, split_file.content(splits))
    # A name of several lines would move all that follow.
    names = (" ".join(name.split()) for name in dataset.class_names)
    lines = "".join(f"{name}\n" for name in names)
    files.atomic_write(folder / LABELS, lines)
    if splits.tokenizer is not None:
        text = splits.tokenizer.to_str(pretty=True)
        files.atomic_write(folder / TOKENIZER, text)
