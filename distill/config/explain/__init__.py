"""Explains options with the docstrings of the dataclasses that declare them."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from distill.config.explain import option as options
from distill.runtime.errors import ConfigError

_TITLE = """\
# What every option means

Generated from the code by `python -m distill.check --explain > docs/options.md`. To
print one part, such as the methods of a stage: `python -m distill.check --explain
stages.trainer`. An option that is set but has no effect is an error."""


def format_page(roots: Mapping[str, type]) -> str:
    """Formats all options of all configs as Markdown, each dataclass once.

    Args:
        roots: Name of each command to the dataclass that its config fills.
    """
    blocks = [_TITLE]
    paths: dict[Any, str] = {}
    for command, root in roots.items():
        blocks.append(f"## The config of `distill.{command}`")
        blocks += [
            options.summary(root),
            _format_options(root, paths),
            *_format_sections(root, "", paths),
        ]
    return "\n\n".join(blocks) + "\n"


def explain(roots: Mapping[str, type], path: str) -> str:
    """Formats one option, or all options of a part of a config.

    Args:
        roots: As for `format_page`; the first one that has the path is used.
        path: Such as `stages`, `stages.trainer`, `stages.trainer.kd.temperature`;
            numbers in it, and the words `options` and `name`, are ignored.

    Raises:
        ConfigError: If no config has such a path; suggests a similar one.
    """
    steps = [step for step in path.split(".") if not step.isdigit()]
    steps = [step for step in steps if step not in ("options", "name")]
    errors = []
    for root in roots.values():
        try:
            return "\n\n".join(_format_blocks(*_follow(root, steps))) + "\n"
        except LookupError as error:  # Of `_follow`: depth, step, known names.
            errors.append(error.args)
    # The config that has the longest beginning of the path is most likely meant.
    _, step, known = max(errors, key=lambda error: error[0])
    close = difflib.get_close_matches(step, known, n=1)
    hint = f" Did you mean `{close[0]}`?" if close else ""
    rest = f" Expected one of: {', '.join(known)}" if known else ""
    raise ConfigError(f"--explain {path}: no option `{step}`.{hint}{rest}")


def _follow(root, steps):
    """Follows a path to its option, or None at a part, and its dataclass, or None."""
    option, kind = None, root
    for index, step in enumerate(steps):
        known = {each.name: each for each in options.options_of(kind)} if kind else {}
        parts: dict[str, type] = option.parts if option else {}
        if step in parts:
            option, kind = None, parts[step]
        elif step in known:
            option = known[step]
            kind = option.options
        else:
            raise LookupError(index, step, [*parts, *known])
    return option, kind


def _format_blocks(option, kind):
    """Formats an option with what it holds, or a dataclass if there is no option."""
    if option is None:
        return [options.summary(kind), _format_options(kind)]
    blocks = [options.format_option(option)]
    for name, part, text in _format_parts(option):
        blocks += [f"`{name}`: {options.summary(part)}", text]
    return [*blocks, _format_options(kind)] if kind else blocks


def _format_sections(kind, path, paths) -> Iterator[str]:
    """Formats the dataclasses that the options hold and that `paths` lacks."""
    # Registers all options first, so that a dataclass that occurs on this level and
    # below is explained on this level.
    new = []
    for option in options.options_of(kind):
        if option.key is not None and option.key not in paths:
            paths[option.key] = f"{path}.{option.name}".lstrip(".")
            new.append(option)
    for option in new:
        place = paths[option.key]
        if option.options:
            yield f"### `{place}`"
            yield options.summary(option.options)
            yield _format_options(option.options, paths)
            yield from _format_sections(option.options, place, paths)
        for name, part, text in _format_parts(option, paths):
            yield f"### `{place}`: `{name}`"
            yield options.summary(part)
            yield text
            yield from _format_sections(part, place, paths)


def _format_parts(option, paths=None):
    """Name, dataclass and options of each part; refers to repeated options by name."""
    first_with: dict[str, str] = {}
    for name, part in option.parts.items():
        new: list[str] = []
        repeated: dict[str, list[str]] = {}
        for each in options.options_of(part):
            line = options.format_option(each, paths)
            # Repeated means the same in every word, not only of the same name.
            if first_with.setdefault(line, name) == name:
                new.append(line)
            else:
                repeated.setdefault(first_with[line], []).append(f"`{each.name}`")
        new += [
            f"- {', '.join(names)}: as of `{first}`."
            for first, names in repeated.items()
        ]
        yield name, part, "\n".join(new) or "No options."


def _format_options(kind, paths=None):
    return "\n".join(
        options.format_option(each, paths) for each in options.options_of(kind)
    )
