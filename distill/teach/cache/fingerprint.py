"""Networks that are kept beside the runs, under a fingerprint of what decides them."""

import json
import pathlib
import types
from collections.abc import Iterable

import keras

from distill import config, data
from distill.runtime import hashes
from distill.runtime import versions as runtime_versions

_DECISIVE = (
    "keras",
    "tensorflow",
    "jax",
    "jaxlib",
    "torch",
    "numpy",
    runtime_versions.KERNELS,
)


def folder(folder: pathlib.Path, kind: str, fingerprint: str) -> pathlib.Path:
    """Where a network is kept, for every run beside this one.

    Args:
        folder: The run's.
        kind: Such as `teachers`.
        fingerprint: See `fingerprint`.
    """
    return folder.resolve().parent / kind / fingerprint


def fingerprint(
    run: config.Run,
    splits: data.Splits,
    options: Iterable[str],
    modules: Iterable[types.ModuleType],
    also: Iterable[str] = (),
) -> str:
    """Changes with everything that decides a trained network.

    That is: its config, the pixels and labels, the code, and the versions of Keras
    and of every backend, and which kernels TensorFlow takes.

    Args:
        run: The run.
        splits: The data.
        options: Names of the options of `run` that decide.
        modules: Whose code decides: packages whole, modules alone.
        also: What else decides.
    """
    whole = config.plain(run)
    decided = {name: whole[name] for name in options}
    versions = runtime_versions.versions()
    packages = {name: versions.get(name) for name in _DECISIVE}
    return hashes.fingerprint(
        json.dumps([decided, packages, keras.backend.backend()], sort_keys=True),
        splits.fingerprint(),
        *also,
        *(file.read_text() for module in modules for file in _sources(module)),
    )


def _sources(module):
    """The Python files of a package, or the file of a module, in one order."""
    file = pathlib.Path(module.__file__)
    return sorted(file.parent.rglob("*.py")) if file.stem == "__init__" else [file]
