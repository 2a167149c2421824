"""The node tree of a config: read, inherited, overridden; every mistake has its line.

PyYAML's nodes know the line of each key and value and leave scalars as text, so
that what a value means is decided by the option that wants it: `schema`.
"""

import pathlib
import re
from collections.abc import Callable

import yaml

from distill.runtime import errors

BASIC = 0  # The rank of a config itself; each `_base_` below it has one less.
LAST = 1  # That of an assignment.


def read(
    path: pathlib.Path, find: Callable, users: tuple[pathlib.Path, ...] = ()
) -> yaml.MappingNode:
    """The node tree of a file, its `_base_` merged in.

    Args:
        path: The file.
        find: Called with the text of `_base_` and the file that names it;
            returns the path of the base.
        users: The files that led here, each the `_base_` of the one before.

    Raises:
        ConfigError: If a file cannot be read, is not a mapping or is its own base.
    """
    node = _compose(path, BASIC - len(users))
    found = pairs(node)
    if "_base_" not in found:
        return node
    key, base = found["_base_"]
    if not isinstance(base, yaml.ScalarNode) or not base.value:
        raise error(base, "_base_", f"expected a file. Received: {shown(base)}")
    base_path, users = find(base.value, path), (*users, path)
    if base_path.resolve() in [user.resolve() for user in users]:
        raise error(base, "_base_", f"{base_path.name} is based on itself")
    node.value.remove((key, base))
    return merge(read(base_path, find, users), node)


def override(root: yaml.MappingNode, assignment: str) -> yaml.MappingNode:
    """The tree with one `a.b=c` applied; `c` is YAML, a number is a list index.

    Raises:
        ConfigError: If it is not of the form `a.b=c`, or leads nowhere.
    """
    path, equals, text = assignment.partition("=")
    origin = f"--set {assignment}"
    if not equals or not all(path.split(".")):
        raise errors.ConfigError(f"{origin}: expected a.b=c. Received: {assignment!r}")
    try:
        loader = yaml.SafeLoader(text)
        loader.name = _source(origin, LAST)
        node = loader.get_single_node() or _scalar("", origin)
    except yaml.YAMLError:
        raise errors.ConfigError(f"{origin}: cannot read {text!r} as YAML") from None
    return _put(root, path.split("."), node, origin)


def _put(parent, keys, leaf, origin):
    """`parent` with `leaf` at the end of `keys`."""
    if not keys:
        return leaf
    first, *rest = keys
    if isinstance(parent, yaml.SequenceNode):
        if not first.isdigit() or int(first) >= len(parent.value):
            raise errors.ConfigError(
                f"{origin}: expected an index below {len(parent.value)}. "
                f"Received: {first!r}"
            )
        parent.value[int(first)] = _put(parent.value[int(first)], rest, leaf, origin)
        return parent
    if not isinstance(parent, yaml.MappingNode):
        parent = yaml.MappingNode("tag:yaml.org,2002:map", [], *marks(leaf))
    inner = pairs(parent).get(first, (None, None))[1]
    added = (_scalar(first, origin), _put(inner, rest, leaf, origin))
    patch = yaml.MappingNode(parent.tag, [added], *marks(leaf))
    return merge(parent, patch, replace=not rest)


def merge(base, child, replace=False):
    """The mapping `base` with the keys of `child` laid over it, at every depth.

    A part whose `name` changes starts anew: the options of another part mean
    nothing to it.
    """
    if not isinstance(base, yaml.MappingNode) or not isinstance(
        child, yaml.MappingNode
    ):
        return child
    old, new = pairs(base), pairs(child)
    if "name" in old and "name" in new and old["name"][1].value != new["name"][1].value:
        old.pop("options", None)
    for name, (key, value) in new.items():
        known = old.get(name, (key, None))[1]
        old[name] = (key, value if replace else merge(known, value))
    return yaml.MappingNode(child.tag, list(old.values()), *marks(base))


def rank(key: yaml.Node) -> int:
    """How late a key was given: more is later, and has the last word."""
    source = key.start_mark.name
    assert isinstance(source, _Source)
    return source.rank


def error(node: yaml.Node | None, where: str, what: str) -> errors.ConfigError:
    """A mistake at a node, as one line that starts with file and line."""
    if node is None:
        return errors.ConfigError(f"{where}: {what}")
    mark = node.start_mark
    place = mark.name
    if not place.startswith("--set"):
        place = f"{place}:{mark.line + 1}"
    return errors.ConfigError(": ".join(filter(None, [place, where, what])))


def pairs(node: yaml.Node | None, where: str = "") -> dict:
    """Key -> (key node, value node) of a mapping.

    Raises:
        ConfigError: If it is no mapping, or a key is given twice.
    """
    if not isinstance(node, yaml.MappingNode):
        raise error(node, where, f"expected keys and values. Received: {shown(node)}")
    found = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else shown(key)
        if name in found:
            raise error(key, where, f"`{name}` is given twice")
        found[name] = (key, value)
    return found


def follow(node: yaml.Node | None, path: str) -> yaml.Node | None:
    """The value at a dotted path such as `stages[0].trainer`, as far as it goes."""
    for step in re.findall(r"\w+", path):
        if isinstance(node, yaml.SequenceNode) and step.isdigit():
            node = node.value[int(step)]
            continue
        if isinstance(node, yaml.MappingNode):
            node = pairs(node).get(step, (None, node))[1]
    return node


class _Source(str):
    """Where a node stands, for messages; nodes bear it in their marks."""

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
    except yaml.MarkedYAMLError as mistake:
        mark = mistake.problem_mark or mistake.context_mark
        line = mark.line + 1 if mark else 1
        raise errors.ConfigError(f"{path.name}:{line}: {mistake.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as mistake:
        reason = str(mistake).splitlines()[0]
        raise errors.ConfigError(f"{path.name}:1: not a YAML text: {reason}") from None
    except OSError as mistake:
        raise errors.ConfigError(f"{path}: {mistake.strerror}") from None
    if not isinstance(node, yaml.MappingNode):
        raise errors.ConfigError(f"{path.name}:1: expected keys and values")
    return node


def _scalar(text, origin):
    mark = yaml.Mark(_source(origin, LAST), 0, 0, 0, None, 0)
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, mark, mark)


def marks(node: yaml.Node) -> tuple:
    """Where a node starts and ends."""
    return node.start_mark, node.end_mark


def shown(node: yaml.Node | None) -> str:
    """A node as an error message quotes it."""
    if isinstance(node, yaml.ScalarNode):
        return repr(node.value) if node.style else node.value or "nothing"
    return "a list" if isinstance(node, yaml.SequenceNode) else "keys and values"
