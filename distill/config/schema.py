"""Fills frozen dataclasses from the nodes of a config.

The declared type of an option decides how a scalar is read: `1e-3` is a number where a
number is expected (PyYAML reads it as text), and `no` is never silently false where
text is expected.
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
from distill.config.yaml_tree import error, follow, marks, pairs, quote, rank

# Without leading zeros: YAML 1.1 reads `010` as 8, YAML 1.2 as 10.
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
# The words of YAML 1.1, which is what PyYAML reads.
_BOOLEANS = {"true": True, "yes": True, "on": True}
_BOOLEANS |= {"false": False, "no": False, "off": False}
_NAMES = {int: "a whole number", float: "a number", str: "text"}
_NAMES |= {bool: "true or false"}
_NULL = {"", "~", "null", "Null", "NULL"}
# Messages of `errors.check` begin with the path of the option in backquotes.
_OPTION_NAME = re.compile(r"`([\w.\[\]]+)`")


def fill(kind: type, node: yaml.Node | None, where: str = ""):
    """Converts a node to a value of a type.

    Args:
        kind: A frozen dataclass, a tuple, a union with None or a Literal, a
            Literal, a scalar type, or `Annotated[..., table]` for a part: a mapping of
            `name` and `options`, looked up in the table of dataclasses.
        node: The node.
        where: The path of the node in the file, such as `stages[0].trainer`.

    Raises:
        ConfigError: If the node does not fit; the message gives file, line and key, and
            what was received and expected.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        optional = types.NoneType in typing.get_args(arguments[0])
        if optional and _is_null(node):
            return None
        return _fill_part(arguments[1], node, where)
    if dataclasses.is_dataclass(kind):
        return _fill_dataclass(kind, node, where)
    if origin in (types.UnionType, typing.Union):
        return _fill_union(arguments, node, where)
    if origin is tuple:
        return _fill_tuple(arguments[0], node, where)
    if origin is typing.Literal:
        return _fill_literal(arguments, node, where)
    return _fill_scalar(kind, node, where)


def _fill_union(kinds, node, where):
    """Fills a union: of a type with None, with a Literal, or with both."""
    kind, *others = kinds
    if types.NoneType in others and _is_null(node):
        return None
    # Fields such as `teacher: {onnx: file.onnx}`, or `teacher: file.keras`.
    if str in others and isinstance(node, yaml.ScalarNode):
        return fill(str, node, where)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and _is_plain(node):
        boolean = _BOOLEANS.get(node.value.lower())
        if boolean is not None:  # `true` means all defaults, `false` null.
            return (
                _fill_dataclass(kind, _empty_mapping(node), where) if boolean else None
            )
    # Fields such as `sections: [a, b]`, or `sections: auto`.
    words = [other for other in others if typing.get_origin(other) is typing.Literal]
    if not words or not isinstance(node, yaml.ScalarNode):
        return fill(kind, node, where)
    choices = typing.get_args(words[0])
    if node.value in choices:
        return node.value
    if (number := _number(kind, node)) is not None:
        return number
    expected = f"expected {_NAMES.get(kind, 'a list')}, or {_join(choices)}"
    raise error(node, where, f"{expected}. Received: {quote(node)}")


def _fill_dataclass(kind, node, where):
    entries = pairs(node, where)
    # `include_extras` keeps `Annotated`, which holds the table of a part.
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name, (key, _) in entries.items():
        if name not in fields:
            hint = _suggest(key, fields) or f" Expected one of {_join(fields)}"
            raise error(key, where, f"unknown key `{name}`.{hint}")
    values = {
        name: fill(hints[name], value, f"{where}.{name}".lstrip("."))
        for name, (_, value) in entries.items()
    }
    for name, field in fields.items():
        required = field.default is field.default_factory is dataclasses.MISSING
        if name not in values and required:
            raise error(node, where, f"missing key `{name}`")
    values = _drop_overruled(kind, entries, values)
    with _locate_errors(node, where):
        options = kind(**values)
    for name, condition in effect.find_idle(kind, values, _defaults(kind)).items():
        key, value = entries[name]
        reason = effect.explain_unmet(condition, lambda other: getattr(options, other))
        rule = f"`{name}` must be left out {reason}: it has no effect there"
        raise error(key, where, f"{rule}. Received: {quote(value)}")
    with _locate_errors(node, where):
        effect.check(options)
    return options


@contextlib.contextmanager
def _locate_errors(node, where):
    """Adds file and line of the option that a ValueError names, else of the mapping."""
    try:
        yield
    except ValueError as exception:
        option = _OPTION_NAME.match(str(exception))
        culprit = follow(node, option[1]) if option else node
        raise error(culprit, where, str(exception)) from exception


def _drop_overruled(kind, entries, values):
    """The values without those of a base that a later option makes ineffective.

    For example, `optimizer: adam` drops the `momentum` of the base config, and a `file`
    its `network`.
    """
    ranks = {name: rank(key) for name, (key, _) in entries.items()}
    # Repeated, since dropping one option may make another ineffective. That one then
    # counts as given as late as the option that is the cause.
    while True:
        later = {
            name: max(ranks.get(n, ranks[name]) for n in effect.option_names(condition))
            for name, condition in effect.find_idle(
                kind, values, _defaults(kind)
            ).items()
        }
        overruled = {name: by for name, by in later.items() if by > ranks[name]}
        if not overruled:
            return values
        ranks |= overruled
        values = {
            name: value for name, value in values.items() if name not in overruled
        }


def _defaults(kind):
    fields = dataclasses.fields(kind)
    return {f.name: f.default for f in fields if f.default is not dataclasses.MISSING}


def _fill_part(table, node, where):
    entries = pairs(node, where)
    for name, (key, _) in entries.items():
        if name not in ("name", "options"):
            hint = _suggest(key, ["name", "options"])
            text = f"unknown key `{name}`, expected `name` and `options`.{hint}"
            raise error(key, where, text)
    if "name" not in entries:
        raise error(node, where, f"missing key `name`: one of {_join(table)}")
    name = entries["name"][1]
    if not isinstance(name, yaml.ScalarNode) or name.value not in table:
        raise error(
            name,
            f"{where}.name",
            f"unknown name `{quote(name)}`.{_suggest(name, table)} "
            f"Expected one of: {_join(table)}",
        )
    inner = entries.get("options", (None, _empty_mapping(node)))[1]
    return _fill_dataclass(table[name.value], inner, f"{where}.options")


def _fill_tuple(kind, node, where):
    if not isinstance(node, yaml.SequenceNode):
        raise error(node, where, f"expected a list. Received: {quote(node)}")
    return tuple(
        fill(kind, item, f"{where}[{index}]") for index, item in enumerate(node.value)
    )


def _fill_literal(choices, node, where):
    if not isinstance(node, yaml.ScalarNode) or node.value not in choices:
        expected = f"expected one of {_join(choices)}.{_suggest(node, choices)}"
        raise error(node, where, f"{expected} Received: {quote(node)}")
    return node.value


def _fill_scalar(kind, node, where):
    expected, plain = _NAMES[kind], _is_plain(node)
    text = node.value if isinstance(node, yaml.ScalarNode) else ""
    if kind is str and isinstance(node, yaml.ScalarNode):
        if not plain or node.tag == "tag:yaml.org,2002:str":
            return text
        # To YAML, a bare `no` or `12` is not text.
        expected = "text (put it in quotes)"
    if kind is bool and plain and text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    if (number := _number(kind, node)) is not None:
        return number
    raise error(node, where, f"expected {expected}. Received: {quote(node)}")


def _number(kind, node):
    """The number of a node, of type int or float; None if it is none."""
    form = {int: _INTEGER, float: _NUMBER}.get(kind)
    if not form or not _is_plain(node) or not form.fullmatch(node.value):
        return None
    number = kind(node.value)
    return number if abs(number) < math.inf else None  # `1e999` is infinite.


def _is_null(node):
    return _is_plain(node) and node.value in _NULL


def _is_plain(node):
    return isinstance(node, yaml.ScalarNode) and not node.style


def _empty_mapping(node):
    return yaml.MappingNode("tag:yaml.org,2002:map", [], *marks(node))


def _suggest(node, known):
    text = node.value if isinstance(node, yaml.ScalarNode) else ""
    close = difflib.get_close_matches(text, list(known), n=1, cutoff=0.65)
    return f" Did you mean `{close[0]}`?" if close else ""


def _join(names):
    return ", ".join(sorted(map(str, names)))


def name_in(table: dict[str, Any], part: Any) -> str:
    """The name of a part in a table of name to dataclass."""
    return next(name for name, kind in table.items() if kind is type(part))
