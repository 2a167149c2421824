"""Reads a config from a YAML file, its base files and overrides, and checks it."""

import contextlib
import difflib
import pathlib
import sysconfig
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import yaml

from distill.config import own_options, schema, yaml_tree
from distill.config.run import Run
from distill.runtime.errors import ConfigError

Tree = TypeVar("Tree")
Source = str | pathlib.Path | Mapping[str, Any]

# In a checkout beside the package, else where `pip` installs shared data.
CONFIGS = (
    pathlib.Path(__file__).resolve().parents[2] / "configs",
    pathlib.Path(sysconfig.get_path("data")) / "share" / "distill" / "configs",
)


def load(path: str | pathlib.Path, overrides: Sequence[str] = ()) -> Run:
    """Reads a run; see `read`."""
    return read(Run, path, overrides)


def read(
    kind: type[Tree],
    path: Source,
    overrides: Sequence[str] = (),
    keywords: Mapping[str, Any] | None = None,
) -> Tree:
    """Reads and checks a config.

    Args:
        kind: The frozen dataclass that the whole file fills, such as `Run`.
        path: A path, or the name of a shipped config such as `lit_resnet.yaml`; or
            the content of a config as plain data.
        overrides: Assignments such as `stages.0.epochs=3`, applied in order,
            those to the `name` of a part first.
        keywords: Top-level options, as plain data, that replace those of the config;
            applied before `overrides`.

    Returns:
        An instance of `kind`, with every default filled in.

    Raises:
        ConfigError: In one line: file, line, key, and what was received and expected.
    """
    return fill(kind, path, tree(path, overrides, keywords or {}))


def fill(kind: type[Tree], path: Source, root: yaml.MappingNode) -> Tree:
    """Checks a config that `tree` has read; see `read`."""
    with _recursion(path):
        return schema.fill(kind, root)


@contextlib.contextmanager
def _recursion(path):
    """A block that recurses into every level of a config, as PyYAML does, too."""
    try:
        yield
    except RecursionError:
        where = "config" if isinstance(path, Mapping) else path
        raise ConfigError(f"{where}: nested too deeply to be a config") from None


def read_part(kind: type, node: yaml.MappingNode, where: str) -> Any:
    """Reads one part of a config, such as its data set; None if it is absent.

    A network that is still to be built fits no config before its input is known.

    Args:
        kind: The dataclass of the whole config, or one in it.
        node: Its tree.
        where: The name of an option of `kind`.
    """
    part = yaml_tree.pairs(node).get(where)
    if part is None:
        return None
    hints = typing.get_type_hints(kind, include_extras=True)
    return schema.fill(hints[where], part[1], where)


def tree(
    path: Source, overrides: Sequence[str], keywords: Mapping[str, Any]
) -> yaml.MappingNode:
    """The node tree of a config, with what replaces parts of it; see `read`."""
    renames = [text for text in overrides if text.split("=")[0].endswith(".name")]
    # A new `name` discards the options of the previous part; see `yaml_tree.merge`.
    others = [text for text in overrides if text not in renames]
    with _recursion(path):
        if isinstance(path, Mapping):
            node = yaml_tree.tree(dict(path), "config")
        else:
            node = yaml_tree.read(
                find(path), lambda base, child: find(base, child.parent)
            )
        for name, value in keywords.items():
            node = yaml_tree.assign(node, name, value)
        for text in [*renames, *others]:
            node = yaml_tree.override(node, text)
        return own_options.gather(node)


def find(
    path: str | pathlib.Path, beside: pathlib.Path = pathlib.Path()
) -> pathlib.Path:
    """Finds the file of a config.

    Args:
        path: A path, or the name of a shipped config.
        beside: The folder to which a relative path is relative.

    Raises:
        ConfigError: If there is no such file; lists the shipped configs.
    """
    for candidate in (beside / path, *(folder / path for folder in CONFIGS)):
        if candidate.is_file():
            return candidate
    shipped = sorted(
        {file.name for folder in CONFIGS for file in folder.glob("*.yaml")}
    )
    close = difflib.get_close_matches(str(path), shipped, n=1)
    hint = f" Did you mean `{close[0]}`?" if close else ""
    raise ConfigError(
        f"{path}: no such file, nor a shipped config.{hint} "
        f"Shipped: {', '.join(shipped)}"
    )
