"""YAML -> frozen dataclasses, with the file and line of every mistake.

Works on PyYAML's node tree, which knows the line of each key and value, and
lets the wanted type decide how a scalar is read: `1e-3` is a number where a
number is wanted, `no` is never silently false where text is wanted.
"""

import dataclasses
import difflib
import math
import pathlib
import re
import types
import typing

import yaml

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False}
_TRUTH["off"] = False
_NULL = {"", "~", "null", "Null", "NULL"}
_BLAMED = re.compile(r"`([\w.\[\]]+)`")


class ConfigError(ValueError):
    """A mistake in a config: one line with place, key, received and expected."""


def read(path: pathlib.Path, find) -> yaml.MappingNode:
    """The node tree of a file, its `_base_` merged in.

    Args:
        path: The file.
        find: Called with the text of `_base_` and the file that names it;
            returns the path of the base.

    Raises:
        ConfigError: If a file cannot be read or is not a mapping.
    """
    node = _compose(path)
    for index, (key, value) in enumerate(node.value):
        if key.value == "_base_":
            del node.value[index]
            return merge(read(find(value.value, path), find), node)
    return node


def override(root: yaml.MappingNode, assignment: str) -> yaml.MappingNode:
    """The tree with one `a.b=c` applied; `c` is YAML, a number is a list index.

    Raises:
        ConfigError: If it is not of the form `a.b=c`, or leads nowhere.
    """
    path, equals, text = assignment.partition("=")
    origin = f"--set {assignment}"
    if not equals or not all(path.split(".")):
        raise ConfigError(f"{origin}: expected a.b=c. Received: {assignment!r}")
    try:
        loader = yaml.SafeLoader(text)
        loader.name = origin
        node = loader.get_single_node() or _scalar("", origin)
    except yaml.YAMLError:
        raise ConfigError(f"{origin}: cannot read {text!r} as YAML") from None
    return _put(root, path.split("."), node, origin)


def _put(parent, keys, leaf, origin):
    """`parent` with `leaf` at the end of `keys`."""
    if not keys:
        return leaf
    first, *rest = keys
    if isinstance(parent, yaml.SequenceNode):
        if not first.isdigit() or int(first) >= len(parent.value):
            raise ConfigError(
                f"{origin}: expected an index below {len(parent.value)}. "
                f"Received: {first!r}"
            )
        parent.value[int(first)] = _put(parent.value[int(first)], rest, leaf, origin)
        return parent
    if not isinstance(parent, yaml.MappingNode):
        parent = yaml.MappingNode("tag:yaml.org,2002:map", [], *_marks(leaf))
    inner = dict((key.value, value) for key, value in parent.value).get(first)
    added = (_scalar(first, origin), _put(inner, rest, leaf, origin))
    patch = yaml.MappingNode(parent.tag, [added], *_marks(leaf))
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
    old = {key.value: (key, value) for key, value in base.value}
    new = {key.value: (key, value) for key, value in child.value}
    if "name" in old and "name" in new and old["name"][1].value != new["name"][1].value:
        old.pop("options", None)
    for name, (key, value) in new.items():
        known = old.get(name, (key, None))[1]
        old[name] = (key, value if replace else merge(known, value))
    return yaml.MappingNode(child.tag, list(old.values()), *_marks(base))


def fill(kind: type, node: yaml.Node | None, where: str = ""):
    """Turns a node into `kind`, or says exactly what is wrong.

    Args:
        kind: A frozen dataclass, a tuple, a union with None, a Literal, a
            scalar type, or `Annotated[..., table]` for a part: a mapping of
            `name` and `options`, looked up in the table of dataclasses.
        node: The node.
        where: The path of the node in the file, such as `stages[0].trainer`.

    Raises:
        ConfigError: With place, key, what was received and expected.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        optional = types.NoneType in typing.get_args(arguments[0])
        if optional and _is_null(node):
            return None
        return _part(arguments[1], node, where)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, node, where)
    if origin in (types.UnionType, typing.Union):
        return None if _is_null(node) else fill(arguments[0], node, where)
    if origin is tuple:
        return _tuple(arguments[0], node, where)
    if origin is typing.Literal:
        return _choice(arguments, node, where)
    return _scalar_value(kind, node, where)


def error(node: yaml.Node | None, where: str, what: str) -> ConfigError:
    """A mistake at a node, as one line that starts with file and line."""
    if node is None:
        return ConfigError(f"{where}: {what}")
    mark = node.start_mark
    place = mark.name
    if not place.startswith("--set"):
        place = f"{place}:{mark.line + 1}"
    return ConfigError(": ".join(filter(None, [place, where, what])))


def _tuple(kind, node, where):
    if not isinstance(node, yaml.SequenceNode):
        raise error(node, where, f"expected a list. Received: {_shown(node)}")
    return tuple(
        fill(kind, item, f"{where}[{index}]") for index, item in enumerate(node.value)
    )


def _choice(choices, node, where):
    if not isinstance(node, yaml.ScalarNode) or node.value not in choices:
        raise error(
            node,
            where,
            f"expected one of {_listed(choices)}.{_hint(node, choices)} "
            f"Received: {_shown(node)}",
        )
    return node.value


def _is_null(node):
    return isinstance(node, yaml.ScalarNode) and node.value in _NULL and not node.style


def _dataclass(kind, node, where):
    pairs = _pairs(node, where)
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name, (key, _) in pairs.items():
        if name not in fields:
            raise error(key, where, f"unknown key `{name}`.{_hint(key, fields)}")
    values = {
        name: fill(hints[name], value, f"{where}.{name}".lstrip("."))
        for name, (_, value) in pairs.items()
    }
    for name, field in fields.items():
        required = field.default is field.default_factory is dataclasses.MISSING
        if name not in values and required:
            raise error(node, where, f"missing key `{name}`")
    try:
        return kind(**values)
    except ValueError as mistake:
        blamed = _BLAMED.match(str(mistake))
        at = _follow(node, blamed[1]) if blamed else node
        raise error(at, where, str(mistake)) from None


def _part(table, node, where):
    pairs = _pairs(node, where)
    for name, (key, _) in pairs.items():
        if name not in ("name", "options"):
            hint = _hint(key, ["name", "options"])
            raise error(
                key,
                where,
                f"unknown key `{name}`, expected `name` and `options`.{hint}",
            )
    if "name" not in pairs:
        raise error(node, where, f"missing key `name`: one of {_listed(table)}")
    name = pairs["name"][1]
    if not isinstance(name, yaml.ScalarNode) or name.value not in table:
        raise error(
            name,
            f"{where}.name",
            f"unknown name `{_shown(name)}`.{_hint(name, table)} "
            f"Expected one of: {_listed(table)}",
        )
    empty = yaml.MappingNode("tag:yaml.org,2002:map", [], *_marks(node))
    options = pairs.get("options", (None, empty))[1]
    return _dataclass(table[name.value], options, f"{where}.options")


def _scalar_value(kind, node, where):
    names = {
        int: "a whole number",
        float: "a number",
        str: "text",
        bool: "true or false",
    }
    plain = isinstance(node, yaml.ScalarNode) and node.style is None
    text = node.value if isinstance(node, yaml.ScalarNode) else ""
    if kind is str and isinstance(node, yaml.ScalarNode):
        if not plain or node.tag == "tag:yaml.org,2002:str":
            return text
        names[str] = "text (put it in quotes)"
    if kind is bool and plain and text.lower() in _TRUTH:
        return _TRUTH[text.lower()]
    if kind is int and plain and _INTEGER.fullmatch(text):
        return int(text)
    number = kind is float and plain and _NUMBER.fullmatch(text)
    if number and math.isfinite(float(text)):
        return float(text)
    raise error(node, where, f"expected {names[kind]}. Received: {_shown(node)}")


def _pairs(node, where):
    """Key -> (key node, value node) of a mapping without repeated keys."""
    if not isinstance(node, yaml.MappingNode):
        raise error(node, where, f"expected keys and values. Received: {_shown(node)}")
    pairs = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else _shown(key)
        if name in pairs:
            raise error(key, where, f"`{name}` is given twice")
        pairs[name] = (key, value)
    return pairs


def _follow(node, path):
    """The value at a dotted path such as `stages[0].trainer`, as far as it goes."""
    for step in re.findall(r"\w+", path):
        if isinstance(node, yaml.SequenceNode) and step.isdigit():
            node = node.value[int(step)]
            continue
        inside = node.value if isinstance(node, yaml.MappingNode) else []
        node = dict((key.value, value) for key, value in inside).get(step, node)
    return node


def _compose(path):
    try:
        with path.open("rb") as file:
            loader = yaml.SafeLoader(file)
            loader.name = path.name
            node = loader.get_single_node()
    except yaml.MarkedYAMLError as mistake:
        mark = mistake.problem_mark or mistake.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(f"{path.name}:{line}: {mistake.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as mistake:
        reason = str(mistake).splitlines()[0]
        raise ConfigError(f"{path.name}:1: not a YAML text: {reason}") from None
    except OSError as mistake:
        raise ConfigError(f"{path}: {mistake.strerror}") from None
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{path.name}:1: expected keys and values")
    return node


def _scalar(text, origin):
    mark = yaml.Mark(origin, 0, 0, 0, None, 0)
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, mark, mark)


def _marks(node):
    return node.start_mark, node.end_mark


def _hint(node, known):
    text = node.value if isinstance(node, yaml.ScalarNode) else ""
    close = difflib.get_close_matches(text, list(known), n=1)
    return f" Did you mean `{close[0]}`?" if close else ""


def _listed(names):
    return ", ".join(sorted(map(str, names)))


def _shown(node):
    if isinstance(node, yaml.ScalarNode):
        return repr(node.value) if node.style else node.value or "nothing"
    return "a list" if isinstance(node, yaml.SequenceNode) else "keys and values"
