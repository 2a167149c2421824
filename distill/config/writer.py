"""Writes a config, or a part of it, as plain data or YAML."""

import dataclasses
import os
import typing
from collections.abc import Mapping
from typing import Annotated, Any

import yaml

import students
import trainers
from distill import data
from distill.compress import finishers
from distill.config import schema
from distill.data.synthetic import sources
from gan import conditional, generators


def plain(value: Any, kind: Any = None) -> Any:
    """Converts a config, or a part, to dicts, lists and scalars, with all defaults.

    Options that a dataclass names in `omitted_when_absent` are left out while they have
    their default.

    Args:
        value: The config or part.
        kind: Declared type of the field that holds it; not needed for a dataclass.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if value is None:
        return None
    if isinstance(value, tuple):
        return [plain(item, arguments[0]) for item in value]
    # The first type of a union is the one to write; None and words are written as they
    # are.
    if type(None) in arguments:
        return plain(value, arguments[0])
    if origin is Annotated:
        name = schema.name_in(arguments[1], value)
        return {"name": name, "options": plain(value)}
    if not dataclasses.is_dataclass(value):
        return value
    hints = typing.get_type_hints(type(value), include_extras=True)
    # A config that does not use a newer option is written as before there was one: so
    # is the file that contains it.
    newer = getattr(type(value), "omitted_when_absent", ())
    return {
        field.name: plain(getattr(value, field.name), hints[field.name])
        for field in dataclasses.fields(value)
        if field.name not in newer or getattr(value, field.name) != field.default
    }


def plain_value(value: Any) -> Any:
    """Converts any mixture of plain data, dataclasses and paths to plain data."""
    if isinstance(value, Mapping):
        return {key: plain_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in value]
    if dataclasses.is_dataclass(value):
        name = _names().get(type(value))
        content = plain(value)
        return content if name is None else {"name": name, "options": content}
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def dump(tree: Any) -> str:
    """Writes a config as YAML, from which `read` makes an equal one."""
    return yaml.safe_dump(plain(tree), sort_keys=False)


def name_of(part: Any) -> str:
    """The name of a part, as written in YAML."""
    return _names()[type(part)]


def _names():
    """Each dataclass of a part to its name."""
    tables = (
        students.BUILDERS,
        trainers.TRAINERS,
        data.DATASETS,
        finishers.FINISHERS,
        generators.GENERATORS,
        conditional.DISCRIMINATORS,
        sources.SOURCES,
    )
    # No dataclass is in two tables.
    return {kind: name for table in tables for name, kind in table.items()}
