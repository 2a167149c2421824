"""What a run is: a tree of frozen dataclasses, read from YAML.

Every option has one home, the dataclass that uses it: default, meaning, type
and range. Nothing here imports Keras or TensorFlow, so a whole run is checked
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
