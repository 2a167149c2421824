"""The config of a run: a tree of frozen dataclasses, read from YAML.

Default, meaning, type and range of an option are declared in one place, the dataclass
that uses it. Nothing here imports Keras or TensorFlow, so a whole config is checked
within a second.
"""

from distill.config.reader import CONFIGS, find, load, read
from distill.config.run import Run
from distill.config.stage import Stage
from distill.config.writer import dump, name_of, plain

__all__ = [
    "CONFIGS",
    "Run",
    "Stage",
    "dump",
    "find",
    "load",
    "name_of",
    "plain",
    "read",
]
