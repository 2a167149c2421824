"""Teacher-student compression on Keras and TensorFlow; see `README.md`.

The public names are in `__all__`. They are imported at their first use, since reading a
config or printing help must not wait for TensorFlow.
"""

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # What a type checker sees in the callable modules.
    from distill.api import finish, train
    from distill.compress import to_tf_keras

__version__ = "0.1.0"
__all__ = ["finish", "to_tf_keras", "train"]

# `train` and `finish` are commands, whose modules are callable; see `make_callable`.
_MODULES = {"train": "distill.train", "finish": "distill.finish"}
_HOMES = {"to_tf_keras": "distill.compress"}


def __getattr__(name: str) -> Any:
    """Imports a public name from the package that defines it."""
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def make_callable(name: str) -> None:
    """Lets a command's module be called as the function of its name in `distill.api`.

    Importing `distill.train` makes that module an attribute of `distill`, where no
    function of this name could stay.

    Args:
        name: Name of the module.
    """

    def find():
        return getattr(importlib.import_module("distill.api"), name.rpartition(".")[2])

    def sign(_):
        return importlib.import_module("inspect").signature(find())

    methods = {
        "__call__": lambda _, *arguments, **options: find()(*arguments, **options),
        "__signature__": property(sign),
    }
    sys.modules[name].__class__ = type("Command", (types.ModuleType,), methods)
