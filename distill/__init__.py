"""Teacher-student compression on Keras and TensorFlow; see `README.md`.

The public names are in `__all__`. They are imported at their first use, since reading a
config or printing help must not wait for TensorFlow.
"""

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["to_tf_keras"]

_HOMES = {"to_tf_keras": "distill.compress"}


def __getattr__(name: str) -> Any:
    """Imports a public name from the package that defines it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
