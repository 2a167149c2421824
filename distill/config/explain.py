"""What every option means, from the docstrings of the dataclasses that use them."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from distill.config import option as options
from distill.runtime.errors import ConfigError

_TITLE = """\
# What every option means

Made from the code by `python -m distill.check --explain > docs/options.md`. For one
piece, such as the methods of a stage: `python -m distill.check --explain
stages.trainer`. An option that was set and does not count is refused."""


def page(roots: Mapping[str, type]) -> str:
    """All options of all configs, as Markdown; each dataclass once.

    Args:
        roots: Command to what a config of it fills.
    """
    blocks = [_TITLE]
    told: dict[Any, str] = {}
    for command, root in roots.items():
        blocks.append(f"## The config of `distill.{command}`")
        blocks += [options.summary(root), _listed(root, told), *_inner(root, "", told)]
    return "\n\n".join(blocks) + "\n"


def explain(roots: Mapping[str, type], path: str) -> str:
    """One option, or all of a piece of a config.

    Args:
        roots: As of `page`; the first that has the path answers.
        path: Such as `stages`, `stages.trainer`, `stages.trainer.kd.temperature`;
            numbers in it, and the words `options` and `name`, are passed over.

    Raises:
        ConfigError: If no config has such a path; names the nearest.
    """
    steps = [step for step in path.split(".") if not step.isdigit()]
    steps = [step for step in steps if step not in ("options", "name")]
    mistakes = []
    for root in roots.values():
        try:
            return "\n\n".join(_told(*_followed(root, steps))) + "\n"
        except LookupError as mistake:
            mistakes.append(mistake.args)
    # The config in which the path went farthest knows best what was meant.
    _, step, known = max(mistakes, key=lambda mistake: mistake[0])
    close = difflib.get_close_matches(step, known, n=1)
    hint = f" Did you mean `{close[0]}`?" if close else ""
    rest = f" Expected one of: {', '.join(known)}" if known else ""
    raise ConfigError(f"--explain {path}: no option `{step}`.{hint}{rest}")


def _followed(root, steps):
    """The option at the end of a path, or None, and the dataclass."""
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


def _told(option, kind):
    """What is said of an option, or of a dataclass."""
    if option is None:
        return [options.summary(kind), _listed(kind)]
    blocks = [options.line(option)]
    for name, part, listed in _parts(option):
        blocks += [f"`{name}`: {options.summary(part)}", listed]
    return [*blocks, _listed(kind)] if kind else blocks


def _inner(kind, path, told) -> Iterator[str]:
    """What the options of a dataclass hold, where it was not told before."""
    new = []
    for option in options.options_of(kind):
        if option.key is not None and option.key not in told:
            told[option.key] = f"{path}.{option.name}".lstrip(".")
            new.append(option)
    for option in new:
        at = told[option.key]
        if option.options:
            yield f"### `{at}`"
            yield options.summary(option.options)
            yield _listed(option.options, told)
            yield from _inner(option.options, at, told)
        for name, part, listed in _parts(option, told):
            yield f"### `{at}`: `{name}`"
            yield options.summary(part)
            yield listed
            yield from _inner(part, at, told)


def _parts(option, told=None):
    """Name, dataclass and options of each part; what others have too is told once."""
    seen: dict[str, str] = {}
    for name, part in option.parts.items():
        new: list[str] = []
        same: dict[str, list[str]] = {}
        for each in options.options_of(part):
            line = options.line(each, told)
            if seen.setdefault(line, name) == name:
                new.append(line)
            else:
                same.setdefault(seen[line], []).append(f"`{each.name}`")
        new += [f"- {', '.join(names)}: as of `{of}`." for of, names in same.items()]
        yield name, part, "\n".join(new) or "No options."


def _listed(kind, told=None):
    return "\n".join(options.line(each, told) for each in options.options_of(kind))
