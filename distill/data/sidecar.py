"""Files beside an exported model: its splits, class names and tokenizer."""

import pathlib

from distill.data import split_file
from distill.data.dataset import Dataset
from distill.data.splits import Splits
from distill.runtime import files

LABELS = "labels.txt"  # One line for each class, in the order of the logits.
TOKENIZER = "tokenizer.json"  # Converts texts to ids.
NAMES = (split_file.FILE, LABELS, TOKENIZER)


def write(folder: pathlib.Path, dataset: Dataset, splits: Splits) -> None:
    """Writes these files into a run's folder.

    Args:
        folder: The folder of the run.
        dataset: The data set.
        splits: The examples of its splits, with the tokenizer of texts.
    """
    files.atomic_write(folder / split_file.FILE, split_file.content(splits))
    # A line break in a name would shift the lines of all later classes.
    names = (" ".join(name.split()) for name in dataset.class_names)
    lines = "".join(f"{name}\n" for name in names)
    files.atomic_write(folder / LABELS, lines)
    if splits.tokenizer is not None:
        text = splits.tokenizer.to_str(pretty=True)
        files.atomic_write(folder / TOKENIZER, text)
