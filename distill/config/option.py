"""One option of a config in words: its type, default, when it counts, its meaning."""

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
_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n(?: {8,}.*|\s*$))*)", re.M)
_REFERENCE = re.compile(r"(; see|\bSee) `[\w.]+`(?=[.;:])")


class Option(NamedTuple):
    """One field of a dataclass: how it is declared, and the dataclass that has it."""

    name: str
    kind: Any
    owner: type

    @property
    def parts(self) -> dict[str, type]:
        """Name to dataclass, of all parts that it may be; empty for no part."""
        for kind in _inside(self.kind):
            if typing.get_origin(kind) is typing.Annotated:
                return typing.get_args(kind)[1]
        return {}

    @property
    def options(self) -> type | None:
        """The dataclass that it holds, if it is no part."""
        found = (kind for kind in _inside(self.kind) if isinstance(kind, type))
        return next((kind for kind in found if dataclasses.is_dataclass(kind)), None)

    @property
    def key(self) -> Any:
        """What is told of once: the dataclass or the parts; None for a value."""
        return self.options or tuple(self.parts.items()) or None


def options_of(kind: type) -> list[Option]:
    """The options of a dataclass, in order."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return [Option(f.name, hints[f.name], kind) for f in dataclasses.fields(kind)]


def line(option: Option, told: Mapping[Any, str] | None = None) -> str:
    """`- name (type; default; when it counts): meaning`, in Markdown.

    Args:
        option: The option.
        told: `key` of what else is told of to the path under which it stands.
    """
    facts = [_type(option), _default(option)]
    condition = effect.conditions(option.owner).get(option.name)
    if condition:
        facts.append(f"counts only {effect.wanted(condition)}")
    meaning = _meanings(option.owner)[option.name].replace("`None`", "`null`")
    if option.key is not None:
        meaning = _REFERENCE.sub("", meaning).strip(" .") + "."
        place = (told or {}).get(option.key)
        meaning += f" See `{place}`." if place else ""
    return f"- `{option.name}` ({'; '.join(facts)}): {meaning}"


def summary(kind: type) -> str:
    """What a dataclass is: its docstring up to the first heading."""
    text = re.split(r"\n\n(?:Attributes|Raises|Source):\n", inspect.getdoc(kind) or "")
    return text[0].strip()


def _meanings(kind):
    """Option to what the nearest docstring says of it, in one line."""
    found: dict[str, str] = {}
    for part in reversed(kind.__mro__):
        _, _, text = inspect.cleandoc(part.__doc__ or "").partition("\nAttributes:\n")
        text = re.split(r"\n\n\w+:\n", text)[0]
        found |= {
            name: " ".join(said.split()) for name, said in _ATTRIBUTE.findall(text)
        }
    return found


def _default(option):
    fields = dataclasses.fields(option.owner)
    default = next(field.default for field in fields if field.name == option.name)
    if default is dataclasses.MISSING:
        return "required"
    if default is None:
        return "absent by default"
    if _needs_nothing(type(default)) and default == type(default)():
        return "may be left out"
    plain = writer.plain(default, option.kind)
    text = yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, width=1000)
    text = text.removesuffix("...\n").strip()
    return f"`{text}` by default"


def _type(option):
    if option.parts:
        listed = ", ".join(f"`{name}`" for name in option.parts)
        many = typing.get_origin(option.kind) is tuple
        return f"{'a list, each ' if many else ''}one of {listed}"
    return _said(option.kind)


def _said(kind):
    """A type, in words."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        words = [_said(each) for each in arguments if each is not types.NoneType]
        if _needs_nothing(arguments[0]):
            words.insert(0, "`true`")
        return ", or ".join(words)
    if origin is tuple:
        return f"a list of {_MANY.get(arguments[0]) or _said(arguments[0])}"
    if origin is typing.Literal:
        return " or ".join(f"`{word}`" for word in arguments)
    return "options" if dataclasses.is_dataclass(kind) else _WORDS[kind]


def _needs_nothing(kind):
    """Whether `true` may stand for a dataclass: all of its defaults."""
    return dataclasses.is_dataclass(kind) and all(
        field.default is not dataclasses.MISSING for field in dataclasses.fields(kind)
    )


def _inside(kind) -> Iterator[Any]:
    """A type and all types in it, but for what `Annotated` holds."""
    yield kind
    if typing.get_origin(kind) is not typing.Annotated:
        for each in typing.get_args(kind):
            yield from _inside(each)
