"""The node tree of a config: reading, inheritance, overrides, errors with a line.

PyYAML's nodes record the line of each key and value and keep scalars as text, so that
`schema` can interpret a value by the type of its option.
"""

import json
import pathlib
import re
from collections.abc import Callable
from typing import Any

import yaml

from distill.runtime import errors

FILE_RANK = 0  # Rank of the config itself; of each `_base_` one less.
OVERRIDE_RANK = 1  # Rank of an override.


def read(
    path: pathlib.Path, find: Callable, chain: tuple[pathlib.Path, ...] = ()
) -> yaml.MappingNode:
    """Reads the node tree of a file, merged with that of its `_base_`.

    Args:
        path: The file.
        find: Called with the text of `_base_` and the path of the file that names it;
            returns the path of the base.
        chain: The files that were read before, each followed by its `_base_`.

    Raises:
        ConfigError: If a file cannot be read, is not a mapping or is based on itself.
    """
    node = _compose(path, FILE_RANK - len(chain))
    entries = pairs(node)
    if "_base_" not in entries:
        return node
    key, base = entries["_base_"]
    if not isinstance(base, yaml.ScalarNode) or not base.value:
        raise error(base, "_base_", f"expected a file. Received: {quote(base)}")
    base_path, chain = find(base.value, path), (*chain, path)
    if base_path.resolve() in [derived.resolve() for derived in chain]:
        raise error(base, "_base_", f"{base_path.name} is based on itself")
    node.value.remove((key, base))  # Not an option: `schema` would refuse it.
    return merge(read(base_path, find, chain), node)


def override(root: yaml.MappingNode, assignment: str) -> yaml.MappingNode:
    """Applies an override `a.b=c` to a tree; `c` is YAML, a number is a list index.

    Raises:
        ConfigError: If it is not of the form `a.b=c`, or a list index is out of range.
    """
    path, equals, text = assignment.partition("=")
    origin = f"--set {assignment}"
    if not equals or not all(path.split(".")):
        raise errors.ConfigError(f"{origin}: expected a.b=c. Received: {assignment!r}")
    try:
        node = _parse(text, _source(origin, OVERRIDE_RANK)) or _scalar("", origin)
    except yaml.YAMLError:
        raise errors.ConfigError(f"{origin}: cannot read {text!r} as YAML") from None
    return _put(root, path.split("."), node, origin)


def assign(root: yaml.MappingNode, name: str, value: Any) -> yaml.MappingNode:
    """Replaces a top-level option by a value of Python.

    Args:
        root: The tree.
        name: Name of the option, and of the keyword in error messages.
        value: Plain data: dicts, lists and scalars.

    Raises:
        ConfigError: If the value is anything else.
    """
    return _put(root, [name], tree(value, f"{name}=", OVERRIDE_RANK), f"{name}=")


def tree(value: Any, origin: str, rank: int = FILE_RANK) -> yaml.MappingNode:
    """The node tree of plain data; see `assign`.

    Args:
        value: The plain data.
        origin: What error messages say in place of a file and a line.
        rank: See `rank`.
    """
    try:
        return _parse(flow(value), _source(origin, rank))
    except (TypeError, ValueError) as exception:
        raise errors.ConfigError(f"{origin} {exception}") from None


def flow(value: Any) -> str:
    """Plain data as JSON, which is YAML; PyYAML would not join surrogate pairs."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(r"[^ -~]", lambda found: f"\\U{ord(found[0]):08x}", text)


def _parse(text, source):
    """The node of a YAML text; None if it is empty."""
    loader = yaml.SafeLoader(text)
    loader.name = source  # PyYAML stores the name in the marks of all nodes.
    return loader.get_single_node()


def _put(parent, keys, value, origin):
    """Sets the value at the path `keys` below `parent`; returns the changed parent."""
    if not keys:
        return value
    key, *rest = keys
    if isinstance(parent, yaml.SequenceNode):
        if not key.isdigit() or int(key) >= len(parent.value):
            raise errors.ConfigError(
                f"{origin}: expected the index of one of {len(parent.value)} entries, "
                f"from 0. Received: {key!r}"
            )
        parent.value[int(key)] = _put(parent.value[int(key)], rest, value, origin)
        return parent
    if not isinstance(parent, yaml.MappingNode):
        parent = yaml.MappingNode("tag:yaml.org,2002:map", [], *marks(value))
    inner = pairs(parent).get(key, (None, None))[1]
    entry = (_scalar(key, origin), _put(inner, rest, value, origin))
    patch = yaml.MappingNode(parent.tag, [entry], *marks(value))
    return merge(parent, patch, replace=not rest)


def merge(base, child, replace=False):
    """Merges two trees recursively; `child` takes precedence.

    With `replace`, mappings are not merged: a value of `child` replaces that of `base`.
    If the `name` of a part changes, the options in `base` are discarded, since they are
    those of another part.
    """
    if not isinstance(base, yaml.MappingNode) or not isinstance(
        child, yaml.MappingNode
    ):
        return child
    # Keys of `child` keep their own nodes, so that errors show the right file and line.
    merged, changes = pairs(base), pairs(child)
    if (
        "name" in merged
        and "name" in changes
        and merged["name"][1].value != changes["name"][1].value
    ):
        merged.pop("options", None)
    for name, (key, value) in changes.items():
        previous = merged.get(name, (key, None))[1]
        merged[name] = (key, value if replace else merge(previous, value))
    return yaml.MappingNode(child.tag, list(merged.values()), *marks(base))


def rank(key: yaml.Node) -> int:
    """The rank of a key's file or override; a higher rank takes precedence."""
    source = key.start_mark.name
    assert isinstance(source, _Source)
    return source.rank


def error(node: yaml.Node | None, where: str, what: str) -> errors.ConfigError:
    """An error at a node; the message is one line that starts with file and line."""
    if node is None:
        return errors.ConfigError(f"{where}: {what}")
    mark = node.start_mark
    place = mark.name
    if not place.startswith("--set") and not place.endswith("="):  # Of one line.
        place = f"{place}:{mark.line + 1}"
    return errors.ConfigError(": ".join(filter(None, [place, where, what])))


def pairs(node: yaml.Node | None, where: str = "") -> dict:
    """The entries of a mapping: key to (key node, value node).

    Raises:
        ConfigError: If the node is not a mapping, or a key is given twice.
    """
    if not isinstance(node, yaml.MappingNode):
        raise error(node, where, f"expected keys and values. Received: {quote(node)}")
    entries = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else quote(key)
        if name in entries:
            raise error(key, where, f"`{name}` is given twice")
        entries[name] = (key, value)
    return entries


def follow(node: yaml.Node | None, path: str) -> yaml.Node | None:
    """The node at a path such as `stages[0].trainer`, or where the path ends."""
    for step in re.findall(r"\w+", path):
        if isinstance(node, yaml.SequenceNode) and step.isdigit():
            node = node.value[int(step)]
            continue
        if isinstance(node, yaml.MappingNode):
            node = pairs(node).get(step, (None, node))[1]
    return node


class _Source(str):
    """Name of the file or override that a node is from, stored in the node's marks."""

    rank: int


def _source(name, rank):
    source = _Source(name)
    source.rank = rank
    return source


def _compose(path, rank):
    try:
        with path.open("rb") as file:
            loader = yaml.SafeLoader(file)
            loader.name = _source(path.name, rank)
            node = loader.get_single_node()
    except yaml.MarkedYAMLError as exception:
        # Either mark may be missing.
        mark = exception.problem_mark or exception.context_mark
        line = mark.line + 1 if mark else 1
        raise errors.ConfigError(
            f"{path.name}:{line}: {exception.problem}"
        ) from exception
    except (yaml.YAMLError, UnicodeDecodeError) as exception:
        reason = str(exception).splitlines()[0]
        raise errors.ConfigError(
            f"{path.name}:1: not a YAML text: {reason}"
        ) from exception
    except OSError as exception:
        raise errors.ConfigError(f"{path}: {exception.strerror}") from exception
    if not isinstance(node, yaml.MappingNode):
        raise errors.ConfigError(f"{path.name}:1: expected keys and values")
    return node


def _scalar(text, origin):
    mark = yaml.Mark(_source(origin, OVERRIDE_RANK), 0, 0, 0, None, 0)
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, mark, mark)


def marks(node: yaml.Node) -> tuple:
    """The start and end marks of a node."""
    return node.start_mark, node.end_mark


def quote(node: yaml.Node | None) -> str:
    """A node in short, for error messages."""
    if isinstance(node, yaml.ScalarNode):
        return repr(node.value) if node.style else node.value or "nothing"
    return "a list" if isinstance(node, yaml.SequenceNode) else "keys and values"
