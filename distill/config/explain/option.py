"""Describes an option: its type, default, condition and meaning."""

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from distill.config import effect, writer

_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
_MANY = {int: "whole numbers", float: "numbers", str: "texts"}
# `name: meaning` in a docstring; further lines are indented more, or empty.
_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n(?: {8,}.*|\s*$))*)", re.M)
# References to code, which make no sense to readers of options.
_REFERENCE = re.compile(r"(; see|\bSee) `[\w.]+`(?=[.;:])")


class Option(NamedTuple):
    """A field of a dataclass of options: name, declared type and the dataclass."""

    name: str
    kind: Any
    owner: type

    @property
    def parts(self) -> dict[str, type]:
        """The parts to choose from: name to dataclass; empty if it is not a part."""
        for kind in _walk_types(self.kind):
            if typing.get_origin(kind) is typing.Annotated:
                return typing.get_args(kind)[1]
        return {}

    @property
    def options(self) -> type | None:
        """The dataclass of the option's value, if it is one and not a part."""
        classes = (kind for kind in _walk_types(self.kind) if isinstance(kind, type))
        return next((kind for kind in classes if dataclasses.is_dataclass(kind)), None)

    @property
    def key(self) -> Any:
        """Identifies the dataclass or parts, which are explained once; else None."""
        return self.options or tuple(self.parts.items()) or None


def options_of(kind: type) -> list[Option]:
    """The options of a dataclass, in the order of declaration.

    Those that it inherits and names in `refused` are left out.
    """
    hints = typing.get_type_hints(kind, include_extras=True)
    refused = getattr(kind, "refused", ())
    names = [f.name for f in dataclasses.fields(kind) if f.name not in refused]
    return [Option(name, hints[name], kind) for name in names]


def format_option(option: Option, paths: Mapping[Any, str] | None = None) -> str:
    """Formats `- name (type; default; condition): meaning` in Markdown.

    Args:
        option: The option.
        paths: `key` of each explained dataclass to the path where it is explained.
    """
    properties = [_format_type(option), _format_default(option)]
    condition = effect.conditions(option.owner).get(option.name)
    if condition:
        properties.append(f"counts only {effect.describe(condition)}")
    meaning = _meanings(option.owner)[option.name].replace("`None`", "`null`")
    if option.key is not None:
        meaning = _REFERENCE.sub("", meaning).strip(" .") + "."
        path = (paths or {}).get(option.key)
        meaning += f" See `{path}`." if path else ""
    return f"- `{option.name}` ({'; '.join(properties)}): {meaning}"


def summary(kind: type) -> str:
    """The summary of a dataclass: its docstring up to the first heading."""
    text = re.split(r"\n\n(?:Attributes|Raises|Source):\n", inspect.getdoc(kind) or "")
    return text[0].strip()


def _meanings(kind):
    """Option to its meaning in one line, from the docstring of the nearest class."""
    meanings: dict[str, str] = {}
    # From the bases to the class, whose own docstring takes precedence.
    for part in reversed(kind.__mro__):
        _, _, text = inspect.cleandoc(part.__doc__ or "").partition("\nAttributes:\n")
        text = re.split(r"\n\n\w+:\n", text)[0]
        meanings |= {
            name: " ".join(meaning.split())
            for name, meaning in _ATTRIBUTE.findall(text)
        }
    return meanings


def _format_default(option):
    fields = dataclasses.fields(option.owner)
    default = next(field.default for field in fields if field.name == option.name)
    if default is dataclasses.MISSING:
        return "required"
    if default is None:
        return "absent by default"
    # Listing all options of a dataclass would repeat their own defaults.
    if _has_all_defaults(type(default)) and default == type(default)():
        return "may be left out"
    plain = writer.plain(default, option.kind)
    text = yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, width=1000)
    # PyYAML ends a document that is only a scalar with `...`.
    text = text.removesuffix("...\n").strip()
    return f"`{text}` by default"


def _format_type(option):
    if option.parts:
        names = ", ".join(f"`{name}`" for name in option.parts)
        is_list = typing.get_origin(option.kind) is tuple
        return f"{'a list, each ' if is_list else ''}one of {names}"
    return _describe_type(option.kind)


def _describe_type(kind):
    """A type in words."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        words = [
            _describe_type(argument)
            for argument in arguments
            if argument is not types.NoneType
        ]
        if _has_all_defaults(arguments[0]):
            words.insert(0, "`true`")
        return ", or ".join(words)
    if origin is tuple:
        return f"a list of {_MANY.get(arguments[0]) or _describe_type(arguments[0])}"
    if origin is typing.Literal:
        return " or ".join(f"`{word}`" for word in arguments)
    return "options" if dataclasses.is_dataclass(kind) else _WORDS[kind]


def _has_all_defaults(kind):
    """Whether `true` can stand for a type: a dataclass whose defaults are valid."""
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        return False
    try:
        kind()
    except (TypeError, ValueError):  # An option is required, or the defaults refused.
        return False
    return True


def _walk_types(kind) -> Iterator[Any]:
    """Yields a type and all types in it, except those within `Annotated`."""
    yield kind
    if typing.get_origin(kind) is not typing.Annotated:
        for argument in typing.get_args(kind):
            yield from _walk_types(argument)
