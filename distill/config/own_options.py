"""Options of parts named `python`: those of no dataclass are a function's keywords."""

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import yaml

import students
from distill.config import schema, yaml_tree
from distill.data.sets.own_python import OwnPython
from distill.runtime.errors import ConfigError

NAME = "python"
_KEYWORDS = "keywords"


def gather(root: yaml.MappingNode) -> yaml.MappingNode:
    """Moves the keywords of functions into the option `keywords`, as JSON.

    Args:
        root: The tree of a config; it is changed.

    Returns:
        The tree.

    Raises:
        ConfigError: If `keywords` is something else.
    """
    for key, options in parts(root):
        _gather_options(options, OwnPython if key == "data" else students.OwnPython)
    return root


def parts(node: yaml.Node, key: str = "") -> Iterator[tuple[str, yaml.MappingNode]]:
    """Yields the key and the options of each part named `python` in a tree."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from parts(item)
    if not isinstance(node, yaml.MappingNode):
        return
    entries = {name: value for name, (_, value) in yaml_tree.pairs(node).items()}
    name, options = entries.get("name"), entries.get("options")
    if isinstance(options, yaml.MappingNode) and getattr(name, "value", "") == NAME:
        yield key, options
        return
    for name, value in entries.items():
        yield from parts(value, name)


def source(options: yaml.MappingNode) -> str:
    """The function of a part named `python`, by its options.

    Raises:
        ConfigError: If they name none.
    """
    key = "source"
    node = yaml_tree.pairs(options).get(key, (None, options))[1]
    if not isinstance(node, yaml.ScalarNode):
        raise yaml_tree.error(node, key, "expected file and function of your Python")
    return node.value


def _gather_options(options, kind):
    """Replaces the options that a dataclass does not have by one."""
    own = {field.name for field in dataclasses.fields(kind)}
    entries = yaml_tree.pairs(options)
    more = {name: entries.pop(name) for name in [*entries] if name not in own}
    if not more:
        return
    keywords = {name: _value(value, name) for name, (_, value) in more.items()}
    if _KEYWORDS in entries:
        keywords = {**_parsed(entries.pop(_KEYWORDS)[1]), **keywords}
    first, _ = next(iter(more.values()))
    start, end = yaml_tree.marks(first)
    key, value = (
        yaml.ScalarNode("tag:yaml.org,2002:str", text, start, end, style='"')
        for text in (_KEYWORDS, json.dumps(keywords, sort_keys=True))
    )
    options.value = [*entries.values(), (key, value)]


def _parsed(node):
    """The keywords that were gathered before, when the config was written."""
    with contextlib.suppress(ValueError):
        if isinstance(parsed := json.loads(node.value), dict):
            return parsed
    expected = "expected keywords, as JSON"
    raise yaml_tree.error(node, _KEYWORDS, f"{expected}. Received: {node.value!r}")


def _value(node: yaml.Node, where: str) -> Any:
    """A node as plain data, with scalars read as those of a declared type are."""
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, where) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        entries = yaml_tree.pairs(node, where).items()
        return {name: _value(value, f"{where}.{name}") for name, (_, value) in entries}
    kinds: tuple[Any, ...] = (bool | None, int, float)
    for kind in kinds:
        with contextlib.suppress(ConfigError):
            return schema.fill(kind, node)
    return node.value
