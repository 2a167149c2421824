"""Fingerprints and folders of the networks and answers that runs share."""

import json
import pathlib
import types
from collections.abc import Iterable

import keras

from distill import config, data
from distill.runtime import hashes
from distill.runtime import versions as runtime_versions

# Packages whose version can change the result of a training.
_PACKAGES = (
    "keras",
    "tensorflow",
    "jax",
    "jaxlib",
    "torch",
    "numpy",
    runtime_versions.KERNELS,
)


def folder(folder: pathlib.Path, kind: str, fingerprint: str) -> pathlib.Path:
    """The folder of a network or of answers, beside the run's folder.

    Args:
        folder: The run's folder.
        kind: What it holds, such as `teachers`.
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
    """A hash of everything that determines a trained network.

    This is its config, the pixels and labels, the code, the versions of Keras and of
    every backend, the choice of TensorFlow's kernels and that of threads.

    Args:
        run: The run.
        splits: The data.
        options: Names of the options of `run` that matter.
        modules: The modules whose code matters, and packages with all their modules.
        also: Further texts to hash.

    Returns:
        16 hexadecimal digits.
    """
    plain = config.plain(run)
    if splits.unlabelled is None:  # Networks that see labelled ones alone are shared.
        plain["data"]["options"].pop("unlabelled", None)
    chosen = {name: plain[name] for name in options}
    versions = runtime_versions.versions()
    packages = {name: versions.get(name) for name in _PACKAGES}
    packages |= runtime_versions.threads()
    return hashes.fingerprint(
        json.dumps([chosen, packages, keras.backend.backend()], sort_keys=True),
        splits.fingerprint(),
        *also,
        *(file.read_text() for module in modules for file in _sources(module)),
    )


def _sources(module):
    """The Python files of a package, sorted, or the file of a module."""
    file = pathlib.Path(module.__file__)
    return sorted(file.parent.rglob("*.py")) if file.stem == "__init__" else [file]
