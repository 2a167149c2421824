"""Finds options that have no effect in combination with others.

A dataclass of options declares in `only_with` when an option has an effect:

    only_with: ClassVar[dict[str, str]] = {
        "momentum": "optimizer: sgd",
        "noise_rate": "noise_weight",
        "network": "no file",
        "temperature": "kd_weight and match: softened",
    }

A condition consists of clauses joined by `and`; each clause consists of terms joined
by `or`. A term is one of
- `name`: the option is given and is not 0;
- `no name`: the option is absent;
- `name: one|other`: the option has one of these values.
A subclass inherits the tables of its bases; an empty condition removes an inherited
one.

A dataclass checks in `check_effects` what a table cannot express. Both are applied to
options that a config gives, never to dataclasses that the program creates itself.
"""

from collections.abc import Callable, Mapping
from typing import Any

Lookup = Callable[[str], Any]


def check(options: Any) -> None:
    """Calls `check_effects` of a dataclass that was filled from a config, if it exists.

    Raises:
        ValueError: If an option has no effect; the message names it.
    """
    if hasattr(options, "check_effects"):
        options.check_effects()


def conditions(kind: type) -> dict[str, str]:
    """The conditions of a dataclass and its bases: option name to condition."""
    table: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        # Own tables only: a class without one would apply that of its base again.
        table |= vars(base).get("only_with", {})
    return {name: text for name, text in table.items() if text}


def option_names(condition: str) -> list[str]:
    """The names of the options that a condition depends on, each once."""
    terms = (term for clause in _clauses(condition) for term in clause)
    return list(dict.fromkeys(_parse_term(term)[0] for term in terms))


def explain_unmet(condition: str, value_of: Lookup) -> str | None:
    """Explains why an option has no effect.

    Args:
        condition: A condition as in `only_with`.
        value_of: Maps the name of another option to its value.

    Returns:
        The first clause that does not hold, in words; None if the condition holds.
    """
    for terms in _clauses(condition):
        if not any(_holds(term, value_of) for term in terms):
            return _describe_violation(" or ".join(terms))
    return None


def _describe_violation(condition: str) -> str:
    """A condition that does not hold: "without `optimizer: sgd`", "beside `file`"."""
    words = []
    for terms in _clauses(condition):
        absent = [term[3:] for term in terms if term.startswith("no ")]
        needed = [term.replace("|", " or ") for term in terms if term[:3] != "no "]
        phrases = [f"beside `{name}`" for name in absent]
        # "without" once before all alternatives, and only if there are any.
        phrases += [f"without {' or '.join(f'`{term}`' for term in needed)}"] * bool(
            needed
        )
        words.append(" or ".join(phrases))
    return ", ".join(words)


def describe(condition: str) -> str:
    """A condition in words: "with `kd_weight` and without `file`"."""
    clauses = [
        " or ".join(
            f"without `{term[3:]}`" if term[:3] == "no " else f"with `{term}`"
            for term in terms
        )
        for terms in _clauses(condition)
    ]
    return " and ".join(clauses).replace("|", " or ")


def find_idle(
    kind: type, values: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict:
    """Finds the options that were set and have no effect.

    Args:
        kind: The dataclass.
        values: The options that were given: name to value.
        defaults: The default of each option that has one. An option that is set to
            its default is never reported: a config that lists every option is valid.

    Returns:
        Option name to the condition that does not hold.
    """

    # Options that are not given count with their defaults.
    def value_of(name):
        return values.get(name, defaults.get(name))

    return {
        name: condition
        for name, condition in conditions(kind).items()
        if name in values
        and values[name] != defaults.get(name)
        and explain_unmet(condition, value_of)
    }


def _clauses(condition):
    return [clause.split(" or ") for clause in condition.split(" and ")]


def _parse_term(term):
    """Splits a term into the option's name and its allowed values, None for any."""
    name, colon, words = term.removeprefix("no ").partition(": ")
    return name, words.split("|") if colon else None


def _holds(term, value_of):
    name, words = _parse_term(term)
    value = value_of(name)
    if words is not None:
        return value in words
    # 0, false, an empty list and None all count as absent.
    return bool(value) != term.startswith("no ")
