"""Searches a preset of keras-hub: configs, weights and vocabularies in a folder."""

import json
import pathlib
import re
import shutil
from typing import Any

from distill.runtime.trust import limits
from distill.runtime.trust.allowed import allowed
from distill.runtime.trust.bare import bare
from distill.runtime.trust.limits import LARGEST, Refused

_TASK = "task.json"
_NEEDED = ("config.json", "model.weights.h5", _TASK)
_CONFIGS = re.compile(
    r"(config|task|preprocessor|tokenizer|image_converter)\.json", re.ASCII
)
_WEIGHTS = re.compile(r"(model|task)\.weights\.h5", re.ASCII)
_ASSETS = re.compile(r"assets/\w+/(vocabulary\.(txt|json|spm)|merges\.txt)", re.ASCII)
_OURS = re.compile(r"keras_hub\.src(\.\w+)+", re.ASCII)
# Options of tokenizers that may be the path of any file; a preset has its own in
# `assets`.
_PATHS = ("vocabulary", "merges", "proto")


def members(folder: pathlib.Path) -> list[str]:
    """The files of a preset that are used, relative to its folder; no others are read.

    Raises:
        Refused: If a file is missing, is no plain file, or all are too large.
    """
    patterns = (_CONFIGS, _WEIGHTS, _ASSETS)
    found = {
        name: file
        for file in (*folder.glob("*"), *folder.glob("assets/*/*"))
        if any(each.fullmatch(name := _name(file, folder)) for each in patterns)
    }
    if missing := [name for name in _NEEDED if name not in found]:
        raise Refused(
            f"it is no preset of a classifier: it has no {' and no '.join(missing)}. "
            "`classifier.save_to_preset` makes one"
        )
    total = 0
    for name, file in found.items():
        if not file.resolve() == folder.resolve() / name or not file.is_file():
            raise Refused(f"a link, or no file: {name!r}")
        total += file.stat().st_size
    if total > LARGEST:
        raise Refused(f"files of {total:,} bytes")
    return sorted(found)


def copy(folder: pathlib.Path, target: pathlib.Path) -> str:
    """Copies a preset, after it has been searched, to where it can be opened.

    Args:
        folder: The preset.
        target: An empty folder.

    Returns:
        The name of the classifier's class.

    Raises:
        Refused: As `members`; or if a config has a class that does not only compute,
            or names a file; or if weights are stored elsewhere or declare too much.
    """
    for name in members(folder):
        file = target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, file)
        if _WEIGHTS.fullmatch(name):
            limits.check_weights(file, file.stat().st_size)
        elif _CONFIGS.fullmatch(name):
            config = bare(_parse(file))
            _check(config, name)
            file.write_text(json.dumps(config))
    return str(_parse(target / _TASK)["class_name"])


def _name(file, folder):
    return file.relative_to(folder).as_posix()


def _parse(file) -> Any:
    try:
        config = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise Refused(f"{file.name} cannot be read: {error}") from None
    if not isinstance(config, dict) or "class_name" not in config:
        raise Refused(f"{file.name} describes no object of Keras")
    return config


def _check(node, name):
    """Every class must be known to compute only; no option may name a file."""
    if isinstance(node, list):
        for item in node:
            _check(item, name)
    if not isinstance(node, dict):
        return
    if "class_name" in node and not (allowed(node) or _is_ours(node)):
        raise Refused(
            f"{name} uses {node.get('module')}.{node['class_name']} "
            f"({node.get('registered_name') or 'not registered'}), which is neither of "
            "keras-hub nor a built-in layer that only computes"
        )
    for key, value in node.items():
        if key in _PATHS and value is not None:
            raise Refused(f"{name} gives `{key}` itself, which may name any file")
        _check(value, name)


def _is_ours(node):
    """Whether this is a class of keras-hub itself."""
    module, own = node.get("module"), f"keras_hub>{node['class_name']}"
    return (
        isinstance(module, str)
        and bool(_OURS.fullmatch(module))
        and node.get("registered_name") == own
    )
