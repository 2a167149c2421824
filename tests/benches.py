"""How the scripts of finishing processes begin: a run, its folder, its workbench."""

import pathlib
import sys

import keras

from distill import config
from distill.run import child


def load(finish, batch_size=36, examples=120):
    """A run of few digits.

    Args:
        finish: The finishers, as in YAML.
        batch_size: Examples in a step.
        examples: Training examples.
    """
    options = [f"data.options.train_examples={examples}", f"batch_size={batch_size}"]
    options += ["augmentation={}", f"finish={finish}"]
    return config.load("finish_resnet.yaml", options)


def begin(finish, batch_size=36):
    """As `load`, and the folder that the script is given; what is drawn is seeded."""
    folder = pathlib.Path(sys.argv[1])
    (folder / "checkpoint").mkdir()
    keras.utils.set_random_seed(0)
    return load(finish, batch_size), folder


def open_bench(run, folder, student):
    """The workbench of a student, a `keras.Model`."""
    student.save(folder / "student.keras")
    return child.open_workbench(run, folder)
