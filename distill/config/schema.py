"""Nodes of a config -> frozen dataclasses.

The wanted type decides how a scalar is read: `1e-3` is a number where a number
is wanted, `no` is never silently false where text is wanted.
"""

import contextlib
import dataclasses
import difflib
import math
import re
import types
import typing
from typing import Any

import yaml

from distill.config import effect
from distill.config.yaml_tree import error, follow, marks, pairs, rank, shown

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_TRUTH = {"true": True, "yes": True, "on": True}
_TRUTH |= {"false": False, "no": False, "off": False}
_NULL = {"", "~", "null", "Null", "NULL"}
_BLAMED = re.compile(r"`([\w.\[\]]+)`")


def fill(kind: type, node: yaml.Node | None, where: str = ""):
    """Turns a node into `kind`, or says exactly what is wrong.

    Args:
        kind: A frozen dataclass, a tuple, a union with None or a Literal, a
            Literal, a scalar type, or `Annotated[..., table]` for a part: a mapping of
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
        return _either(arguments, node, where)
    if origin is tuple:
        return _tuple(arguments[0], node, where)
    if origin is typing.Literal:
        return _choice(arguments, node, where)
    return _scalar_value(kind, node, where)


def _either(kinds, node, where):
    """Of a kind, or one of the words, or null, where that is among the kinds."""
    kind, *others = kinds
    if types.NoneType in others and _is_null(node):
        return None
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and _is_plain(node):
        truth = _TRUTH.get(node.value.lower())
        if truth is not None:  # All options as they are by default, or none at all.
            return _dataclass(kind, _empty(node), where) if truth else None
    words = [other for other in others if typing.get_origin(other) is typing.Literal]
    if not words or not isinstance(node, yaml.ScalarNode):
        return fill(kind, node, where)
    choices = typing.get_args(words[0])
    if node.value in choices:
        return node.value
    expected = f"expected a list, or {_listed(choices)}"
    raise error(node, where, f"{expected}. Received: {shown(node)}")


def _dataclass(kind, node, where):
    given = pairs(node, where)
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name, (key, _) in given.items():
        if name not in fields:
            raise error(key, where, f"unknown key `{name}`.{_hint(key, fields)}")
    values = {
        name: fill(hints[name], value, f"{where}.{name}".lstrip("."))
        for name, (_, value) in given.items()
    }
    for name, field in fields.items():
        required = field.default is field.default_factory is dataclasses.MISSING
        if name not in values and required:
            raise error(node, where, f"missing key `{name}`")
    values = _standing(kind, given, values)
    with _placed(node, where):
        made = kind(**values)
    for name, condition in effect.idle(kind, values, _defaults(kind)).items():
        key, value = given[name]
        reason = effect.unmet(condition, lambda other: getattr(made, other))
        rule = f"`{name}` must be left out {reason}: it has no effect there"
        raise error(key, where, f"{rule}. Received: {shown(value)}")
    with _placed(node, where):
        effect.check(made)
    return made


@contextlib.contextmanager
def _placed(node, where):
    """Says of a mistake in a mapping where it stands."""
    try:
        yield
    except ValueError as mistake:
        blamed = _BLAMED.match(str(mistake))
        at = follow(node, blamed[1]) if blamed else node
        raise error(at, where, str(mistake)) from None


def _standing(kind, given, values):
    """The values but for those that a base gave, and that count no more.

    Who says `optimizer: adam` has done with the `momentum` of the base, and a `file`
    takes the place of its `network`: what is given later has the last word.
    """
    ranks = {name: rank(key) for name, (key, _) in given.items()}
    while True:
        later = {
            name: max(ranks.get(n, ranks[name]) for n in effect.names(condition))
            for name, condition in effect.idle(kind, values, _defaults(kind)).items()
        }
        fallen = {name: by for name, by in later.items() if by > ranks[name]}
        if not fallen:
            return values
        ranks |= fallen
        values = {name: value for name, value in values.items() if name not in fallen}


def _defaults(kind):
    fields = dataclasses.fields(kind)
    return {f.name: f.default for f in fields if f.default is not dataclasses.MISSING}


def _part(table, node, where):
    given = pairs(node, where)
    for name, (key, _) in given.items():
        if name not in ("name", "options"):
            hint = _hint(key, ["name", "options"])
            raise error(
                key,
                where,
                f"unknown key `{name}`, expected `name` and `options`.{hint}",
            )
    if "name" not in given:
        raise error(node, where, f"missing key `name`: one of {_listed(table)}")
    name = given["name"][1]
    if not isinstance(name, yaml.ScalarNode) or name.value not in table:
        raise error(
            name,
            f"{where}.name",
            f"unknown name `{shown(name)}`.{_hint(name, table)} "
            f"Expected one of: {_listed(table)}",
        )
    options = given.get("options", (None, _empty(node)))[1]
    return _dataclass(table[name.value], options, f"{where}.options")


def _tuple(kind, node, where):
    if not isinstance(node, yaml.SequenceNode):
        raise error(node, where, f"expected a list. Received: {shown(node)}")
    return tuple(
        fill(kind, item, f"{where}[{index}]") for index, item in enumerate(node.value)
    )


def _choice(choices, node, where):
    if not isinstance(node, yaml.ScalarNode) or node.value not in choices:
        raise error(
            node,
            where,
            f"expected one of {_listed(choices)}.{_hint(node, choices)} "
            f"Received: {shown(node)}",
        )
    return node.value


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
    raise error(node, where, f"expected {names[kind]}. Received: {shown(node)}")


def _is_null(node):
    return _is_plain(node) and node.value in _NULL


def _is_plain(node):
    return isinstance(node, yaml.ScalarNode) and not node.style


def _empty(node):
    return yaml.MappingNode("tag:yaml.org,2002:map", [], *marks(node))


def _hint(node, known):
    text = node.value if isinstance(node, yaml.ScalarNode) else ""
    close = difflib.get_close_matches(text, list(known), n=1)
    return f" Did you mean `{close[0]}`?" if close else ""


def _listed(names):
    return ", ".join(sorted(map(str, names)))


def name_in(table: dict[str, Any], part: Any) -> str:
    """The name of a part in the table of its kind."""
    return next(name for name, kind in table.items() if kind is type(part))
