"""Which options have no effect beside which others: said in one table, asked here.

A dataclass of options says in `only_with` when an option counts at all:

    only_with: ClassVar[dict[str, str]] = {
        "momentum": "optimizer: sgd",
        "noise_rate": "noise_weight",
        "network": "no file",
        "temperature": "kd_weight and match: softened",
    }

A condition is one or more clauses, joined by `and`; each is one or more terms, joined
by `or`. A term is `name`, which must be given and not 0; `no name`, which must be
absent; or `name: one|other`, which must be one of these words. A subclass has the
tables of its bases too; an empty condition in its own lifts theirs.

What no table can say, a dataclass says in `check_effects`. Both are asked of what a
config gives, never of what the program makes of it.
"""

from collections.abc import Callable, Mapping
from typing import Any

Lookup = Callable[[str], Any]


def check(made: Any) -> None:
    """Asks a dataclass that was filled from a config for its `check_effects`.

    Raises:
        ValueError: Names an option that was set and counts for nothing.
    """
    if hasattr(made, "check_effects"):
        made.check_effects()


def conditions(kind: type) -> dict[str, str]:
    """Option to condition, of a dataclass and all its bases."""
    found: dict[str, str] = {}
    for part in reversed(kind.__mro__):
        found |= vars(part).get("only_with", {})
    return {name: text for name, text in found.items() if text}


def names(condition: str) -> list[str]:
    """The options that a condition asks for, each once."""
    terms = (term for clause in _clauses(condition) for term in clause)
    return list(dict.fromkeys(_parted(term)[0] for term in terms))


def unmet(condition: str, value_of: Lookup) -> str | None:
    """What is in the way of an option's effect.

    Args:
        condition: As in `only_with`.
        value_of: From the name of another option to its value.

    Returns:
        As `said`, of the first clause that does not hold; None where the option has
        an effect.
    """
    for terms in _clauses(condition):
        if not any(_holds(term, value_of) for term in terms):
            return said(" or ".join(terms))
    return None


def said(condition: str) -> str:
    """What is in the way where a condition does not hold, for people.

    For example "without `optimizer: sgd`", "beside `file`".
    """
    words = []
    for terms in _clauses(condition):
        absent = [term[3:] for term in terms if term.startswith("no ")]
        needed = [term.replace("|", " or ") for term in terms if term[:3] != "no "]
        pieces = [f"beside `{name}`" for name in absent]
        pieces += [f"without {' or '.join(f'`{term}`' for term in needed)}"] * bool(
            needed
        )
        words.append(" or ".join(pieces))
    return ", ".join(words)


def wanted(condition: str) -> str:
    """When an option counts, for people: "with `kd_weight` and without `file`"."""
    clauses = [
        " or ".join(
            f"without `{term[3:]}`" if term[:3] == "no " else f"with `{term}`"
            for term in terms
        )
        for terms in _clauses(condition)
    ]
    return " and ".join(clauses).replace("|", " or ")


def idle(kind: type, values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict:
    """The options that were set and count for nothing.

    Args:
        kind: The dataclass.
        values: Of the options that were given.
        defaults: Of all options that have one. Who gives a default asks for nothing.

    Returns:
        Name of each to its condition.
    """

    def value_of(name):
        return values.get(name, defaults.get(name))

    return {
        name: condition
        for name, condition in conditions(kind).items()
        if name in values
        and values[name] != defaults.get(name)
        and unmet(condition, value_of)
    }


def _clauses(condition):
    return [clause.split(" or ") for clause in condition.split(" and ")]


def _parted(term):
    """Name, and the words that it may be, or None where it must be there at all."""
    name, colon, words = term.removeprefix("no ").partition(": ")
    return name, words.split("|") if colon else None


def _holds(term, value_of):
    name, words = _parted(term)
    value = value_of(name)
    if words is not None:
        return value in words
    return bool(value) != term.startswith("no ")
